#!/bin/bash
# SPDX-License-Identifier: ISC
# it_peer_lies: a handset that is paired, and lies: through the real sshd and gate it
# says what no persona-sync would. Each time the transfer ends, nothing of it is left
# behind, and the same personad goes on. (Invariants 1, 3, 7.)
set -u

PERSONA_BIN=$PWD
src=${srcdir:-.}
. "$src/tests/lib/handsets.sh"
. "$src/tests/lib/personas.sh"
. "$src/tests/lib/moves.sh"

# a's own key and nothing else of a: what lies is liar, not personad.
lie() {
	local dir
	dir=$(handset_dir a)
	transfer=$(printf '%032x' $((0x1000 + n)))
	handset_start a "lie-$1" "$PERSONA_BIN/tests/liar" "$1" \
		ssh -F none -T -q -i "$(state_dir a)/identity" -l "$(id -un)" \
		-o IdentitiesOnly=yes -o StrictHostKeyChecking=no \
		-o UserKnownHostsFile=/dev/null -p 7275 "$(handset_addr b)" \
		"persona-stream $transfer 0"
	lies="$lies $1:$!"
	n=$((n + 1))
}

# Each lie is told to the end; what the target said is in its log.
ends() {	# ends LIE PID PATTERN
	need_soon 40 "$1: the target goes on listening" gone "$2"
	grep -q '^closed' "$(handset_dir a)/lie-$1.log" ||
		fail "$1: $(cat "$(handset_dir a)/lie-$1.log")"
	grep -Eq "${3:-.}" "$(handset_dir a)/lie-$1.log" ||
		fail "$1: the target said: $(cat "$(handset_dir a)/lie-$1.log")"
}
gone() { ! kill -0 "$1" 2> /dev/null; }

command -v ssh > /dev/null || _handsets_lack "ssh is not installed"
story_begin none
kill "$DAEMON_PID_a"
n=0 lies=

# One at a time: they all offer the same persona. `nothing` and `stall` take the
# target's patience, so the first runs beside the others.
lie nothing
quiet=$!
for what in garbage length name memory early-pages page packed root state \
    state-bytes release stall; do
	lie $what
	case $what in
	root) said='^cancel 11 ' ;;	# REASON_CORRUPT
	state) said='^cancel 12 ' ;;	# REASON_VMM_FAILED
	*) said=. ;;
	esac
	ends $what $! "$said"
	need_soon 10 "$what: a persona-vmm remains" no_process b persona-vmm
	[ -z "$(state b liar)" ] || fail "$what: liar is $(state b liar) on b"
	gone "$DAEMON_PID_b" && fail "$what: personad is gone"
	ok "$what: $(tail -n 2 "$(handset_dir a)/lie-$what.log" | head -n 1)"
done
ends nothing $quiet
ok "nothing: closed in the end"
nothing_on b liar
ctl_answers b || fail "personad does not answer"
ok "the same personad, and nothing left behind"

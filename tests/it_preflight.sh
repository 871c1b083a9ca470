#!/bin/bash
# SPDX-License-Identifier: ISC
# it_preflight: move --dry-run says yes with an estimate that a move then keeps within
# a factor of two, and no with every reason at once; it changes nothing on either side.
set -u

PERSONA_BIN=$PWD
src=${srcdir:-.}
. "$src/tests/lib/handsets.sh"
. "$src/tests/lib/personas.sh"
. "$src/tests/lib/moves.sh"

# Nothing may be left of a question, and the persona runs as before.
nothing_changed() {
	[ "$(state a work)" = running ] || fail "$1: work is $(state a work)"
	need_soon 5 "$1: a persona-sync remains on a" no_process a persona-sync
	need_soon 5 "$1: a persona-sync remains on b" no_process b persona-sync
	need_soon 5 "$1: a persona-vmm remains on b" no_process b persona-vmm
	ok "$1"
}

being_asked() {	# being_asked SIDE: by $asker, which is held in mid-question
	asker=$(pids_on "$1" persona-sync send)
	[ -n "$asker" ] && kill -STOP "$asker"
}

asked() {	# asked STATUS PATTERN ARGUMENTS... : what is said stays in $said
	local expected=$1 pattern=$2 status=0
	shift 2
	said=$(ctl a move --dry-run "$@" 2>&1) || status=$?
	[ $status = "$expected" ] ||
		fail "move --dry-run $*: exit $status, not $expected: $said"
	echo "$said" | grep -Eq "$pattern" ||
		fail "move --dry-run $* said \"$said\", not /$pattern/"
}

within_two() {	# within_two WHAT ESTIMATED REAL
	[ $(($2 * 2)) -ge "$3" ] && [ "$2" -le $(($3 * 2)) ] ||
		fail "$1: estimated $2, it was $3"
	ok "$1: estimated $2, it was $3"
}

guest=$PERSONA_BIN/tests/guest/guest.elf

story_begin 20mbit
persona_make a work

# --- no, and why ---------------------------------------------------------------

asked 4 'nowhere.* is paired' work nowhere
asked 4 'no persona' nobody phone-b
need "create idle" ctl a create idle --kernel "$guest" --memory 64M > /dev/null
asked 4 '^no: .*stopped' idle phone-b
need "delete idle" ctl a delete idle -y > /dev/null

need "b's own work" ctl b create work --kernel "$guest" --memory 64M > /dev/null
asked 4 '^no: .*another persona named work' work phone-b
nothing_changed "the name is taken there"
[ "$(state b work)" = stopped ] || fail "b's own persona was touched"
need "delete on b" ctl b delete work -y > /dev/null

# --- yes, and how long ------------------------------------------------------------

asked 0 '^yes: about .* pause about' work phone-b
echo "$said"
nothing_changed "a yes"
asked 0 '"yes": *true' work phone-b --json
ms=$(echo "$said" | number time_ms)
bytes=$(echo "$said" | number bytes)

# Whoever asks and leaves leaves nothing behind.
move_begin a work phone-b --dry-run
need_soon 5 "nobody asks" being_asked a
[ "$(state a work)" = running ] || fail "work is $(state a work) while b is asked"
asked 4 'not possible while a handset is asked' work phone-b
refusal=$(ctl a suspend work 2>&1) && fail "it was suspended in mid-question"
echo "$refusal" | grep -q 'not possible while a handset is asked' ||
	fail "suspend in mid-question: $refusal"
kill -CONT "$asker"
kill "$MOVE_PID"
wait "$MOVE_PID" 2> /dev/null
need_soon 5 "the question goes on" no_process a persona-sync
nothing_changed "an asker that left"

guest_well a work
result=$(ctl a move work phone-b --json) || fail "the move: $result"
lives_on b work
guest_well b work
within_two "milliseconds" "$ms" "$(echo "$result" | tail -n 1 | number elapsed_ms)"
within_two "bytes" "$bytes" "$(echo "$result" | tail -n 1 | number bytes_sent)"

# --- more than one reason -----------------------------------------------------------

# A new handset a, without memory, and with a persona of that name.
need "unpair on b" ctl b unpair phone-a > /dev/null
daemon_end a
echo "MemAvailable: 100000 kB" > "$(handset_dir a)/meminfo"
DAEMON_UNDER=(unshare --mount --propagation private sh -c
    'mount --bind "$0" /proc/meminfo && exec "$@"' "$(handset_dir a)/meminfo")
need "personad on a, with little memory" daemon_start a
DAEMON_UNDER=()
need "pairing again" pair_both
need "a's own work" ctl a create work --kernel "$guest" --memory 64M > /dev/null
status=0
said=$(ctl b move --dry-run work phone-a 2>&1) || status=$?
[ $status = 4 ] || fail "no memory: exit $status: $said"
echo "$said" | grep -q '^no: work needs 64 MiB of memory.* 97 MiB free' ||
	fail "no memory: $said"
echo "$said" | grep -q '^no: .*another persona named work' ||
	fail "the second reason: $said"
[ "$(state b work)" = running ] || fail "work is $(state b work)"
ok "two reasons at once"

need "unpair on a" ctl a unpair phone-b > /dev/null
status=0
said=$(ctl b move --dry-run work phone-a 2>&1) || status=$?
[ $status = 4 ] || fail "unpaired there: exit $status: $said"
echo "$said" | grep -Eq '^no: .*(not accept|pair)' || fail "unpaired: $said"
guest_well b work
ok "work never noticed"

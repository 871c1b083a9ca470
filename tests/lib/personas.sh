# SPDX-License-Identifier: ISC
# personad and personactl on the two handsets of handsets.sh. To be sourced by bash
# after it, with PERSONA_BIN naming the directory of our programs. Knows commands
# and what they print; knows no story.
#
#   await SECONDS CMD...         until CMD succeeds; false when it did not. An emulated
#                                machine sets PERSONA_SLOW to give all of them longer,
#                                PERSONA_POLL_S to be asked less often
#   daemon_start a [OPTION...]   personad on handset a; its pid in DAEMON_PID_a
#                                DAEMON_UNDER: an array of words before its own, such
#                                as unshare; it must exec
#   daemon_end a                 end it with its personas, forget its directories
#   ctl a ARGUMENTS...           personactl on handset a
#   ctl_exec a ARGUMENTS...      the same in place of the shell, for background jobs
#   pair_both                    a offers, b accepts, both confirm the same digits
#   console_open a PERSONA FILE  what the guest says, appended to FILE; what goes into
#                                descriptor CONSOLE_IN is typed; ends with console_close
#   last_beat FILE [KEY]         the last heartbeat in FILE, or one value of it
#   state a PERSONA              one word: running, moved...

DAEMON_UNDER=()

await() {
	local end=$((SECONDS + $1 * ${PERSONA_SLOW:-1}))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep "${PERSONA_POLL_S:-0.05}"
	done
}

state_dir() { echo "$(handset_dir "$1")/state"; }
control_socket() { echo "$(handset_dir "$1")/runtime/control.sock"; }

ctl() {
	local side=$1
	shift
	handset "$side" "$PERSONA_BIN/personactl" -S "$(control_socket "$side")" \
		"$@"
}

# The same in place of the calling shell, so that a background job's pid is
# personactl's own.
ctl_exec() {
	local side=$1
	shift
	handset_exec "$side" "$PERSONA_BIN/personactl" \
		-S "$(control_socket "$side")" "$@"
}

daemon_start() {
	local side=$1
	shift
	handset_start "$side" personad "${DAEMON_UNDER[@]}" "$PERSONA_BIN/personad" \
		--state-dir "$(state_dir "$side")" \
		--runtime-dir "$(handset_dir "$side")/runtime" \
		-o libexec-dir="$PERSONA_BIN" --name "phone-$side" \
		${PERSONA_DEBUG:+--debug} "$@"
	eval "DAEMON_PID_$side=$!"
	await 10 ctl_answers "$side"
}

# A persona outlives its personad by design, so here both are ended, by pid.
daemon_end() {
	local side=$1 pid pids=
	for pid in $(handset_pids "$side"); do
		case $(cat "/proc/$pid/comm" 2>/dev/null) in
		personad | persona-*) pids="$pids $pid" ;;
		esac
	done
	[ -z "$pids" ] || kill $pids 2>/dev/null
	_handsets_gone $pids
	rm -rf "$(state_dir "$side")" "$(handset_dir "$side")/runtime"
}

ctl_answers() { ctl "$1" list > /dev/null 2>&1; }
sees_peer() { ctl "$1" peers --names 2>/dev/null | grep -qx "$2"; }

# Each side's digits are read from its own output and must be the same before
# either is told yes, as two people would do it.
pair_both() {
	local dir_a dir_b digits_a digits_b pid_b pid_a r=0
	dir_a=$(handset_dir a) dir_b=$(handset_dir b)
	await 10 sees_peer a phone-b || return 1
	mkfifo "$dir_a/answer" "$dir_b/answer"
	ctl b pair < "$dir_b/answer" > "$dir_b/pair.out" 2>&1 & pid_b=$!
	exec 7> "$dir_b/answer"
	ctl a pair phone-b < "$dir_a/answer" > "$dir_a/pair.out" 2>&1 & pid_a=$!
	exec 8> "$dir_a/answer"
	if await 15 grep -Eq '[0-9]{6}|[0-9]{3} [0-9]{3}' "$dir_a/pair.out" &&
	    await 15 grep -Eq '[0-9]{6}|[0-9]{3} [0-9]{3}' "$dir_b/pair.out"; then
		digits_a=$(grep -Eo '[0-9]{3} ?[0-9]{3}' "$dir_a/pair.out" | head -n 1)
		digits_b=$(grep -Eo '[0-9]{3} ?[0-9]{3}' "$dir_b/pair.out" | head -n 1)
		PAIR_DIGITS=$digits_a
		[ "$digits_a" = "$digits_b" ] || r=1
	else
		r=1
	fi
	if [ $r = 0 ]; then
		echo yes >&7
		echo yes >&8
	fi
	exec 7>&- 8>&-
	wait $pid_a || r=1
	wait $pid_b || r=1
	[ $r = 0 ] || cat "$dir_a/pair.out" "$dir_b/pair.out" >&2
	rm -f "$dir_a/answer" "$dir_b/answer"
	return $r
}

console_open() {
	local pipe
	pipe=$(handset_dir "$1")/console.in
	rm -f "$pipe"
	mkfifo "$pipe"
	ctl_exec "$1" console "$2" < "$pipe" >> "$3" 2>&1 &
	CONSOLE_PID=$!
	exec 6> "$pipe"
	CONSOLE_IN=6
}

console_close() {
	exec 6>&-
	kill "$CONSOLE_PID" 2>/dev/null
	wait "$CONSOLE_PID" 2>/dev/null
	return 0
}

# Only whole lines count: the last may still be on its way.
last_beat() {
	local line
	line=$(tr -d '\r' < "$1" | sed '$d' | grep '^beat ' | tail -n 1)
	[ -n "$line" ] || return 1
	if [ $# -gt 1 ]; then
		echo "$line" | sed -n "s/.* $2=\([^ ]*\).*/\1/p"
	else
		echo "$line"
	fi
}

state() {
	ctl "$1" show "$2" --json 2>/dev/null |
		sed -n 's/.*"state": *"\([a-z]*\)".*/\1/p'
}

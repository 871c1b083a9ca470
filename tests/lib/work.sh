# SPDX-License-Identifier: ISC
# The working persona: a Debian persona made by persona-mkimage, with what lab/persona
# does all day, and what outside says of it. To be sourced by bash after linux.sh and
# lab.sh. Knows its programs; knows no story.
#
#   work_programs DIRECTORY    its programs, as DIRECTORY/programs.tar
#   work_outside DIRECTORY     begin lab/outside.py; its pid in WORK_OUTSIDE_PID
#   work_acked                 the last transaction that outside has heard of
#   work_asked WORD...         `work WORD...` typed at the console that is open; its
#                              words in WORK_SAID; false unless it ended with 0
#   work_clock SIDE            its clock is this side's
#   work_going SIDE            every program lives, none saw anything wrong, each gets
#                              further while it is looked at

WORK_SAID=
WORK_OUTSIDE_DIR=
declare -A WORK_BEFORE

work_programs() {
	local f
	mkdir -p "$1/job"
	for f in persona/work persona/rewrite persona/follow; do
		cp "$LAB_TESTS/lab/$f" "$1/job/"
	done
	for f in persona/ledger witness; do
		cp "$LAB_BUILD/tests/lab/$f" "$1/job/"
	done
	tar -C "$1" -cf "$1/programs.tar" job
}

work_outside() {
	WORK_OUTSIDE_DIR=$1
	python3 "$(dirname "${BASH_SOURCE[0]}")/../lab/outside.py" "$1" 7100 7180 \
		< /dev/null > "$1/outside.log" 2>&1 &
	WORK_OUTSIDE_PID=$!
	HANDSETS_PIDS="$! $HANDSETS_PIDS"
	await 10 grep -qs '^ready' "$1/outside.log"
}

work_acked() {
	local last
	last=$(tail -n 1 "$WORK_OUTSIDE_DIR/acks")
	echo "${last:-0}"
}

# Typed once: what it does must not be done twice.
work_asked() {
	: > "$_linux_said"
	echo "busybox sh /job/work $*" >&6
	await 60 linux_heard "^work: $1: [0-9]+"
	WORK_SAID=$(linux_said)
	linux_heard "^work: $1: 0\$"
}

_work_value() {
	echo "$WORK_SAID" | sed -n "s/^$1.* $2=\([-0-9]*\).*/\1/p" | tail -n 1
}

_work_zero() {
	[ "$(_work_value "$1" "$2")" = 0 ] || linux_fail "$3: $WORK_SAID"
}

_work_numbers() {
	work_asked said || linux_fail "a program of the persona died: $WORK_SAID"
	WORK_SAID=$(echo "$WORK_SAID" |
		grep -E '^(ledger|rewrite|follow|rounds|alive)')
}

# All have got further than WORK_BEFORE, or WORK_STILL says who has not.
_work_further() {
	local what now
	WORK_STILL=
	_work_numbers
	for what in "ledger n" "rewrite rounds" "follow next"; do
		now=$(_work_value $what)
		[ "${now:-0}" -gt "${WORK_BEFORE[$what]}" ] ||
			WORK_STILL="$WORK_STILL $what"
	done
	[ -z "$WORK_STILL" ]
}

# The numbers count from now: before the move is not after it.
work_going() {
	local what
	_work_numbers
	for what in "ledger n" "rewrite rounds" "follow next"; do
		WORK_BEFORE[$what]=$(_work_value $what)
	done
	await 30 _work_further || linux_fail "stands still on $1:$WORK_STILL: $WORK_SAID"
	_work_zero rewrite bad "the file was not what was written, on $1"
	_work_zero follow holes "the page had holes on $1"
	_work_zero rounds bad "memory was damaged on $1"
	_work_zero rounds backward "a clock went backwards on $1"
	echo "$WORK_SAID"
}

# The machines took the time from this one, to the second, when they booted.
work_clock() {
	local before there
	before=$(date +%s)
	linux_asked 'echo cl''ock $(date +%s)' '^clock [0-9]+$' ||
		linux_fail "no clock on $1"
	there=$(linux_said | sed -n 's/^clock \([0-9]*\)$/\1/p' | tail -n 1)
	[ "$there" -ge $((before - 3)) ] &&
		[ "$there" -le $(($(date +%s) + 3)) ] ||
		linux_fail "its clock is $((there - before)) s off on $1"
}

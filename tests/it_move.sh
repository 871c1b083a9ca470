#!/bin/bash
# SPDX-License-Identifier: ISC
# it_move: two handsets find each other, pair, and a running persona moves there and
# back, again and again. After each move its memory is whole, its clock and its
# heartbeats went on, it answers what is typed, its tenure has grown by one, and
# exactly one handset runs it. (Invariants 1, 3, 8.)
#
# MOVES=20 tests/it_move.sh makes more of them than six.
set -u

PERSONA_BIN=$PWD
src=${srcdir:-.}
. "$src/tests/lib/handsets.sh"
. "$src/tests/lib/personas.sh"
. "$src/tests/lib/moves.sh"

MOVES=${MOVES:-6}

# The last object of a move, and what every one of its lines is.
move_told() {	# move_told FILE
	local last
	"$PERSONA_BIN/tests/json-lines" < "$1" || fail "move --json is not JSON"
	last=$(tail -n 1 "$1")
	blackout_ns=$(echo "$last" | number blackout_ns)
	bytes_sent=$(echo "$last" | number bytes_sent)
	echo "$last" | grep -q '"ok": *true' || fail "the move did not say ok"
	[ "$(echo "$last" | field reason)" = ok ] || fail "it gave another reason"
	[ "$(echo "$last" | number pages_left)" = 0 ] ||
		fail "pages were left over"
	[ "${bytes_sent:-0}" -gt 1000000 ] || fail "hardly a byte was sent"
	[ "$bytes_sent" -lt $((64 << 20)) ] || fail "more was sent than there is"
	[ "${blackout_ns:-0}" -gt 100000 ] || fail "no blackout: ${blackout_ns:-}"
	[ "$(echo "$last" | field blackout_clock)" = guest ] ||
		fail "the blackout is not by the guest's clock"
	[ "$blackout_ns" -lt 10000000000 ] || fail "a blackout of $blackout_ns ns"
}

# What its own clock jumped by is said, so the guest itself must have seen as much:
# its longest pause, forgotten just before. (More, when the machine is busy.)
forget_pause() {	# forget_pause HANDSET PERSONA
	local file
	file=$(handset_dir "$1")/early.out
	: > "$file"
	console_open "$1" "$2" "$file"
	echo p >&6
	echo "pause forgotten" >&6
	need_soon 10 "the guest is deaf" grep -q '^echo: pause forg' "$file"
	console_close
}

guest_saw_it() {	# after guest_well
	local saw_us
	saw_us=$(value_of "$well_beat" max_pause_us)
	[ "${saw_us:-0}" -ge $((blackout_ns / 1000 - 1000)) ] ||
		fail "it is said to have stood still for $blackout_ns ns, and" \
			"saw at most ${saw_us:-nothing} us"
}

arriving() {
	moving "$1" "$2" | grep -q '"outgoing": *false'
}

# Its first words there are worth hearing, so the line is open before they come.
console_waits() {	# console_waits HANDSET PERSONA
	local file
	file=$(handset_dir "$1")/early.out
	console_open "$1" "$2" "$file"
	need_soon 10 "no console before it has come" grep -q ^Connected "$file"
	arriving "$1" "$2" || fail "it came before its console did"
	console_close
}

story_begin none
ok "they found each other and paired, $PAIR_DIGITS on both"
persona_make a work 64M "hot=6M rate=6M beat=100"
ctl a status --json | grep -q '"moves": *\[\]' ||
	fail "something moves before anything does: $(ctl a status --json)"

# What personad started for a move, it also takes in when it ends.
no_zombies() {	# no_zombies HANDSET
	local pid=DAEMON_PID_$1
	! grep -qs ") Z ${!pid} " /proc/[0-9]*/stat
}

at=a
for i in $(seq "$MOVES"); do
	to=$(other $at)
	before=$(tenure $at work)
	[ "$i" != 1 ] || link_rate 50mbit
	forget_pause $at work
	move_begin $at work phone-$to
	if [ "$i" = 1 ]; then
		need_soon 10 "status shows no move" move_copying a work 1
		need_soon 10 "b does not see it arrive" arriving b work
		console_waits b work
		link_rate none
	fi
	need "move $i, $at to $to" move_ended
	move_told "$(move_said $at)"
	lives_on $to work
	[ "$(tenure $to work)" = $((before + 1)) ] ||
		fail "the tenure went from $before to $(tenure $to work)"
	[ "$(ctl $at show work --json | field moved_to)" = "phone-$to" ] ||
		fail "$at does not know where it went"
	guest_well $to work
	guest_saw_it
	ok "move $i, $at to $to: beat $last_n, blackout $((blackout_ns / 1000000))" \
		"ms, $((bytes_sent >> 20)) MiB"
	at=$to
done
for side in a b; do
	need_soon 5 "personad on $side leaves zombies" no_zombies $side
done

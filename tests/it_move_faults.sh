#!/bin/bash
# SPDX-License-Identifier: ISC
# it_move_faults: whatever breaks or is called off before the handover, the persona
# runs on at the source as if nothing had been, the other handset keeps nothing of
# it, and what is on record is true on both. If its own process is killed, that is
# said and it can be started again. Then a move goes well. (Invariants 1, 2, 4, 7.)
set -u

PERSONA_BIN=$PWD
src=${srcdir:-.}
. "$src/tests/lib/handsets.sh"
. "$src/tests/lib/personas.sh"
. "$src/tests/lib/moves.sh"

RATE=40mbit

# Pages flow from a to b, a quarter is there.
mid_copy() {
	move_begin a work phone-b
	need_soon 20 "no page flows" move_copying a work 4000000
}

# The process of ours on SIDE; there must be one.
kill_one() {	# kill_one SIDE PROGRAM [WORD]
	local pid
	pid=$(pids_on "$@")
	[ -n "$pid" ] || fail "there is no $2 ${3:-} on $1"
	kill -9 $pid
}

unharmed() {	# unharmed WHAT
	[ "$(state a work)" = running ] ||
		fail "$1: work is $(state a work) on a"
	[ "$(tenure a work)" = 1 ] || fail "$1: the tenure has changed"
	nothing_on b work
	need "$1: a persona-sync remains on a" no_process a persona-sync
	guest_well a work
	ok "$1"
}

# The move must fail with this reason.
ends_with() {	# ends_with SECONDS WHAT REASON-PATTERN
	need_soon "$1" "$2: the move does not end" move_is_over
	move_ended && fail "$2: the move succeeded"
	tail -n 1 "$(move_said a)" | field reason | grep -Eqx "$3" ||
		fail "$2: the reason is not $3: $(tail -n 1 "$(move_said a)")"
}

move_is_over() { ! kill -0 $MOVE_PID 2> /dev/null; }

# What a shell says of its killed jobs is no news here.
exec 2> /dev/null
story_begin $RATE
persona_make a work

what="persona-sync send killed"
mid_copy
kill_one a persona-sync send
ends_with 5 "$what" internal
unharmed "$what"

what="persona-sync receive killed"
mid_copy
kill_one b persona-sync receive
ends_with 5 "$what" 'link-lost|target-failed'
unharmed "$what"

what="persona-vmm at the target killed"
mid_copy
kill_one b persona-vmm
ends_with 5 "$what" vmm-failed
unharmed "$what"

what="cancelled at the source"
mid_copy
need "$what" ctl a cancel work
ends_with 5 "$what" cancelled
unharmed "$what"

what="cancelled at the target"
mid_copy
need "$what" ctl b cancel work
ends_with 5 "$what" cancelled
unharmed "$what"

what="Ctrl-C of personactl move"
mid_copy
kill -INT $MOVE_PID
ends_with 5 "$what" cancelled
unharmed "$what"

what="personactl move killed, then cancelled"
mid_copy
kill -9 $MOVE_PID
wait $MOVE_PID 2> /dev/null
need "$what: the move depends on personactl" move_copying a work
need "$what" ctl a cancel work
unharmed "$what"

what="personad at the target killed"
mid_copy
kill -9 "$DAEMON_PID_b"
ends_with 5 "$what" 'link-lost|target-failed'
need "$what: it does not come back" daemon_start b
unharmed "$what"

what="personad at the source killed"
mid_copy
kill -9 "$DAEMON_PID_a"
need_soon 5 "$what: personactl waits for ever" move_is_over
move_ended
[ $? = 3 ] || fail "$what: personactl did not say that personad is gone"
need "$what: it does not come back" daemon_start a
unharmed "$what"

what="personad at the target killed as the move begins"
move_begin a work phone-b
need_soon 5 "$what: no move" moving a work > /dev/null
kill -9 "$DAEMON_PID_b"
ends_with 20 "$what" 'link-lost|target-failed|unreachable'
need "$what: it does not come back" daemon_start b
unharmed "$what"

what="link cut"
mid_copy
link_cut
ends_with 7 "$what" link-lost
link_mend
unharmed "$what"

what="link frozen"
mid_copy
link_freeze
ends_with 9 "$what" link-lost
link_thaw $RATE
unharmed "$what"

what="persona-vmm at the source killed"
mid_copy
kill_one a persona-vmm
ends_with 5 "$what" guest-ended
[ "$(state a work)" = crashed ] || fail "$what: work is $(state a work) on a"
ctl a show work --json | field last_end | grep -Eq 'signal 9|unexpectedly' ||
	fail "$what: the record does not say how it ended"
nothing_on b work
need "$what: it does not start again" ctl a start work > /dev/null
last_n=0
unharmed "$what, then started again"

what="unpaired at the source"
mid_copy
need "$what" ctl a unpair phone-b > /dev/null
ends_with 5 "$what" not-paired
unharmed "$what"
need "unpair on b" ctl b unpair phone-a > /dev/null
need "pairing again" pair_both

link_rate none
need_soon 10 "b is not seen again" sees_peer a phone-b
need "the move after all this" ctl a move work phone-b > "$(move_said a)" 2>&1
lives_on b work
guest_well b work
ok "then it moved: $(tail -n 1 "$(move_said a)" | cut -d , -f 1,2)"

#!/bin/bash
# SPDX-License-Identifier: ISC
# it_move_leave: personad at the target is asked to leave while the waiting
# persona-vmm owes it an answer, to Load, then to Resume. It leaves well each time;
# the persona is whole where the record says it is. (Invariants 1, 2, 4.)
set -u

PERSONA_BIN=$PWD
src=${srcdir:-.}
. "$src/tests/lib/handsets.sh"
. "$src/tests/lib/personas.sh"
. "$src/tests/lib/moves.sh"

# The target's handover has come to this state.
b_is() { grep -q "persona work: attempt .*: $1\$" "$(handset_dir b)/personad.log"; }

# Pages flow, and the persona-vmm that waits for them answers nothing.
deaf_target() {
	need "personad does not start on b" daemon_start b --debug
	need_soon 10 "b is not seen" sees_peer a phone-b
	move_begin a work phone-b
	need_soon 20 "no page flows" move_copying a work 1
	vmm=$(pids_on b persona-vmm)
	need "no persona-vmm waits on b" kill -STOP $vmm
	need_soon 30 "b never loads" b_is LOADING
}

guest_is() { [ "$(state "$1" work)" = "$2" ]; }

leaves_well() {	# leaves_well WHAT
	kill "$DAEMON_PID_b"
	wait "$DAEMON_PID_b" || fail "$1: personad on b ended with $?"
}

story_begin 40mbit
persona_make a work

what="asked to leave while Load is open"
kill "$DAEMON_PID_b"
wait "$DAEMON_PID_b"
deaf_target
leaves_well "$what"
move_ended && fail "$what: the move succeeded"
nothing_on b work
need_soon 10 "$what: work does not run on" guest_is a running
guest_well a work
ok "$what"

what="asked to leave while Resume is open"
deaf_target
kill -STOP "$DAEMON_PID_a"	# its word comes when the guest is deaf again
kill -CONT $vmm
need_soon 10 "$what: b is never complete" b_is PREPARED
kill -STOP $vmm
kill -CONT "$DAEMON_PID_a"
need_soon 10 "$what: b never wakes it" b_is WAKING
leaves_well "$what"
kill -CONT $vmm
need "$what: personad does not come back" daemon_start b
need_soon 10 "$what: work does not run on b" guest_is b running
guest_is a running && fail "$what: work runs on a too"
guest_well b work
ok "$what"

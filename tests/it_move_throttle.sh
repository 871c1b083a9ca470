#!/bin/bash
# SPDX-License-Identifier: ISC
# it_move_throttle: a guest that changes memory faster than the link carries it is
# held back in steps, `show` says how far, and when the transfer is killed in the
# middle nothing holds it back any more (that persona-vmm lets go then is it_vmm's to
# show). (Invariant 2.)
set -u

PERSONA_BIN=$PWD
src=${srcdir:-.}
. "$src/tests/lib/handsets.sh"
. "$src/tests/lib/personas.sh"
. "$src/tests/lib/moves.sh"

RATE=8mbit
held_back() {
	local percent
	percent=$(ctl a show work --json | number throttle_percent)
	[ "${percent:-0}" -gt 0 ]
}

exec 2> /dev/null
story_begin $RATE
persona_make a work 64M "hot=40M rate=400M beat=100"
move_begin a work phone-b
need_soon 90 "work is never held back" held_back
ok "held back, and show says so"

kill -9 $(pids_on a persona-sync send)
move_ended && fail "the move succeeded without its sender"
[ -z "$(ctl a show work --json | number throttle_percent)" ] ||
	fail "show still speaks of a throttle"
guest_well a work
ok "the sender was killed, nothing holds work back"

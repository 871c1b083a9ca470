#!/bin/bash
# SPDX-License-Identifier: ISC
# it_move_refused: a move that cannot be is refused before a page has been sent,
# with a sentence that says why, on the handset where it was asked for; the persona
# runs on. (Invariants 2, 4, 6.)
set -u

PERSONA_BIN=$PWD
src=${srcdir:-.}
. "$src/tests/lib/handsets.sh"
. "$src/tests/lib/personas.sh"
. "$src/tests/lib/moves.sh"

# Neither side may have been changed by what was refused.
still_here() {
	[ "$(state a work)" = running ] || fail "$1: work is $(state a work)"
	need_soon 5 "$1: a persona-sync remains on a" no_process a persona-sync
	need_soon 5 "$1: a persona-sync remains on b" no_process b persona-sync
	need_soon 5 "$1: a persona-vmm remains on b" no_process b persona-vmm
	ok "$1"
}

refused() {	# refused WHAT PATTERN ARGUMENTS...
	local what=$1 pattern=$2
	shift 2
	ctl_says a "$pattern" "$@"
	still_here "$what"
}

move_is_over() { ! kill -0 $MOVE_PID 2> /dev/null; }
warned() { ctl "$1" peers | grep -q "WARNING\|warning\|another key\|changed"; }

guest=$PERSONA_BIN/tests/guest/guest.elf

story_begin 20mbit
persona_make a work

refused "no such persona" 'no persona.*"?nobody' move nobody phone-b
refused "no such handset" 'nowhere.* is paired' move work nowhere
refused "to itself" 'is this handset' move work phone-a
refused "a name that is none" 'name' move 'Work of mine' phone-b

need "create idle" ctl a create idle --kernel "$guest" --memory 64M > /dev/null
refused "not running" 'while it is stopped' move idle phone-b
need "start idle" ctl a start idle > /dev/null
need "pause idle" ctl a pause idle > /dev/null
refused "paused" 'while it is paused' move idle phone-b
need "kill idle" ctl a kill idle > /dev/null

ctl b create work --kernel "$guest" --memory 64M > /dev/null ||
	fail "b cannot make its own work"
refused "the name is taken there" 'another persona named work' move work phone-b
[ "$(state b work)" = stopped ] || fail "b's own persona was touched"
need "delete on b" ctl b delete work -y > /dev/null

move_begin a work phone-b
need_soon 20 "no page flows" move_copying a work
ctl_says a 'being moved|under way|already' move work phone-b
ctl_says a 'mov|under way' delete work -y
ctl_says b 'receiv|arriv|mov' start work
need "cancel" ctl a cancel work
move_ended
ctl_says a 'while it is running|nothing is being moved' cancel work
still_here "twice at once"

# Either this processor has all of v4, or create says what is missing.
if said=$(ctl a create wide --kernel "$guest" --cpu x86-64-v4 --start 2>&1); then
	echo "this processor is an x86-64-v4: nothing to refuse"
	ctl a kill wide > /dev/null
else
	echo "$said" | grep -q 'x86-64-v4' || fail "a baseline too high: $said"
	ok "a CPU baseline that is too high: $said"
fi

move_begin a work phone-b
need_soon 20 "no page flows" move_copying a work
need "unpair on b" ctl b unpair phone-a > /dev/null
need_soon 5 "it moves to one that is not paired any more" move_is_over
move_ended && fail "it moved to one that is not paired any more"
still_here "unpaired there in the middle"
refused "b trusts us no longer" 'not accept|not paired|pair' move work phone-b

# b begins anew, with another key under the same name.
daemon_end b
need "personad on b" daemon_start b
need_soon 10 "b is not seen again" sees_peer a phone-b
need_soon 10 "nobody is warned of the other key" warned a phone-b
refused "another key under its name" 'phone-b.*key|key.*phone-b|not the one that was paired' \
	move work phone-b

need "unpair" ctl a unpair phone-b > /dev/null
refused "unpaired" 'phone-b.* is paired' move work phone-b

# What personad is told of its memory is all that differs.
daemon_end b
echo "MemAvailable: 100000 kB" > "$(handset_dir b)/meminfo"
DAEMON_UNDER=(unshare --mount --propagation private sh -c
    'mount --bind "$0" /proc/meminfo && exec "$@"' "$(handset_dir b)/meminfo")
need "personad on b, with little memory" daemon_start b
need "pairing again" pair_both
refused "no room in memory there" 'needs 64 MiB of memory.* 97 MiB free' \
	move work phone-b

guest_well a work
ok "work never noticed"

#!/bin/bash
# SPDX-License-Identifier: ISC
# it_full_disk: the disk of one handset is full, before a move or from its middle
# on. The source lets it go all the same, as its records have room of their own; what
# the target cannot write down does not happen: the move ends with a sentence that
# names the disk, or completes. The persona runs on exactly one handset, whole, and
# moves once there is room again. (Invariants 1, 2.)
set -u

PERSONA_BIN=$PWD
src=${srcdir:-.}
. "$src/tests/lib/handsets.sh"
. "$src/tests/lib/personas.sh"
. "$src/tests/lib/moves.sh"

leave() {
	umount -l "$(state_dir a)" "$(state_dir b)" 2> /dev/null
	handsets_down
}

# A small disk for the state of each, which is ours to fill. It is mounted before
# personad starts, as ip(8) gives each program a mount namespace.
small_disks() {
	local side
	for side in a b; do
		mkdir -p "$(state_dir $side)"
		mount -t tmpfs -o size=2M,mode=700 persona "$(state_dir $side)" ||
			_handsets_lack "tmpfs cannot be mounted here"
	done
}

# SQLite's log may have grown beyond what it always has: so begin it anew first.
fill() {
	kill "$(pids_on "$1" personad)"
	need_soon 10 "personad on $1 does not end" no_process "$1" personad
	need "personad on $1" daemon_start "$1"
	need_soon 10 "$1 is not seen again" sees_peer "$(other "$1")" phone-"$1"
	fill_more "$1"
}
fill_more() {
	dd if=/dev/zero of="$(state_dir "$1")/fill$RANDOM" bs=512 2> /dev/null
	return 0
}
free() { rm -f "$(state_dir "$1")"/fill*; }

# Wherever it is now, it is there once and well; $at says where.
settled() {	# settled WHAT
	if move_ended; then
		at=$(other $at)
		echo "$1: the move completed"
	else
		[ $whose = target ] || fail "$1: $(tail -n 1 "$(move_said $at)")"
		tail -n 1 "$(move_said $at)" |
			grep -Eiq 'disk|space|disk-full' ||
			fail "$1: $(tail -n 1 "$(move_said $at)")"
		echo "$1: $(tail -n 1 "$(move_said $at)" | field message)"
		need_soon 5 "$1: persona-vmm remains on $(other $at)" \
			no_process "$(other $at)" persona-vmm
	fi
	need_soon 5 "$1: work is $(state $at work) on $at" runs $at work
	lives_on $at work
	guest_well $at work
	ok "$1"
}
runs() { [ "$(state "$1" "$2")" = running ]; }

STORY_BEFORE_DAEMONS=small_disks
story_begin 80mbit
trap leave EXIT
persona_make a work
at=a

for whose in target source; do
	what="the disk of the $whose is full"
	[ $whose = source ] && full=$at || full=$(other $at)
	fill "$full"
	move_begin $at work phone-"$(other $at)"
	settled "$what"
	free "$full"

	[ $whose = source ] && full=$at || full=$(other $at)
	fill "$full"
	free "$full"
	move_begin $at work phone-"$(other $at)"
	need_soon 20 "no page flows" move_copying $at work
	fill_more "$full"
	settled "$what from the middle on"
	free "$full"
done

move_begin $at work phone-"$(other $at)"
move_ended || fail "with room again: $(tail -n 1 "$(move_said $at)")"
at=$(other $at)
lives_on $at work
guest_well $at work
ok "with room again it moves"

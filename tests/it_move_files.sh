#!/bin/bash
# SPDX-License-Identifier: ISC
# it_move_files: what a persona keeps in files goes with it. Its disk and its boot
# files arrive byte for byte, and what was empty takes no room there either, so that it can be stopped where it has come to and started again;
# it comes back the same way. What an arrival leaves behind that came to nothing is
# removed, also after a crash, and no image is replaced but by its own newer one.
# (Invariants 3, 4.)
set -u

PERSONA_BIN=$PWD
src=${srcdir:-.}
. "$src/tests/lib/handsets.sh"
. "$src/tests/lib/personas.sh"
. "$src/tests/lib/moves.sh"

images() { echo "$(state_dir "$1")/images"; }
id_of() { ctl "$1" show "$2" --json | field id; }
sum_of() { sha256sum < "$1" | cut -d ' ' -f 1; }
same_files() {	# same_files SIDE NAME: as they were in the beginning
	local file
	for file in kernel initrd disk0.img; do
		[ "$(sum_of "$(images "$1")/$id/$file")" = \
			"$(sum_of "$work/$file")" ] ||
			fail "$file on $1 is not what $2 was made of"
	done
}
no_incoming() { ! ls -d "$(images "$1")"/incoming-* > /dev/null 2>&1; }
stopped() { [ "$(state "$1" "$2")" = stopped ]; }

story_begin none
work=$(handset_dir a)/made
mkdir -p "$work"
cp "$PERSONA_BIN/tests/guest/guest.elf" "$work/kernel"
# An odd size: its last page is filled up on the way and cut again.
head -c 1234567 /dev/urandom > "$work/initrd"
# A large disk with little in it, at its beginning, somewhere and at its end.
truncate -s 256M "$work/disk0.img"
for at in 0 77 255; do
	dd if=/dev/urandom of="$work/disk0.img" bs=1M seek=$at count=1 \
		conv=notrunc 2> /dev/null
done
ctl a create work --kernel "$work/kernel" --initrd "$work/initrd" \
	--disk-image "$work/disk0.img" \
	--memory 64M --append "hot=2M rate=1M beat=100" --start > /dev/null ||
	fail "work does not start on a"
last_n=0
guest_well a work
id=$(id_of a work)

move_begin a work phone-b
need "the move to b" move_ended
lives_on b work
guest_well b work
need_soon 5 "the files have not got their place on b" no_incoming b
same_files b work
used=$(($(stat -c '%b * %B' "$(images b)/$id/disk0.img")))
[ "$used" -lt $((8 << 20)) ] || fail "a disk with 3 MiB takes $used bytes on b"
ok "disk and boot files came with a running persona, byte for byte"

ctl b stop work > /dev/null 2>&1 || ctl b kill work > /dev/null ||
	fail "work cannot be ended on b"
need_soon 10 "work does not stop on b" stopped b work
ctl b start work > /dev/null || fail "work does not start cold on b"
last_n=0
guest_well b work
ok "stopped where it came to, it starts there from its own files"

# Something of an arrival that died with its personad; and what is not ours to touch.
left=$(images b)/incoming-0123456789abcdef0123456789abcdef-7
mkdir "$left" "$(images b)/incoming-else"
: > "$left/kernel"
kill -9 "$(pids_on b personad)" 2> /dev/null
need_soon 10 "personad on b does not end" no_process b personad
need "personad on b" daemon_start b
[ ! -e "$left" ] || fail "what a dead arrival left is still there"
[ -d "$(images b)/incoming-else" ] || fail "a directory of others was removed"
same_files b work
guest_well b work
ok "leftovers are swept, and nothing else is"
rmdir "$(images b)/incoming-else"

need_soon 10 "a is not seen again" sees_peer b phone-a
move_begin b work phone-a
need "the way back" move_ended
lives_on a work
guest_well a work
need_soon 5 "the files have not got their place on a" no_incoming a
same_files a work
[ -z "$(ls "$(images a)" | grep -v "^$id\$")" ] ||
	fail "more than one image on a: $(ls "$(images a)")"
ok "it comes back, over the image that it had left"

link_rate 2mbit
move_begin a work phone-b
need_soon 20 "no page flows" move_copying a work
made_one() { ls -d "$(images b)/incoming-$id"-* > /dev/null 2>&1; }
need_soon 5 "no files are made on b" made_one
ctl a cancel work > /dev/null || fail "cannot be cancelled"
move_ended && fail "a cancelled move says that it went well"
need_soon 10 "an aborted arrival leaves its files" no_incoming b
same_files b work
lives_on a work
guest_well a work
ok "an aborted arrival leaves nothing, and what was there stays"

#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: a Linux persona with a disk and a network works while it goes there and back
# twice between two emulated machines, first over a plain link, then over one with
# delay and loss. Afterwards its file system is clean, no transaction that it
# acknowledged to the world outside is missing, its web page went on without a hole,
# its clock is right and no program died. Needs no KVM here. Invariants 1, 3, 8.
set -u

. "${srcdir:-$(dirname "$0")/..}/tests/lib/two.sh"
. "${srcdir:-$(dirname "$0")/..}/tests/lib/work.sh"
[ "${1:-}" = story ] || two_story work_parts

# The page is asked for again after each move, at once; the ledger's line is redialled.
there_and_back() {
	local words=$1 way
	for way in 'a b' 'b a'; do
		set -- $way
		linux_move "$1" "$2" worker --budget 10000
		linux_console "$2" worker
		work_going "$2"
		work_clock "$2"
		console_close
		two_ok "$words: works on after the move from $1 to $2"
	done
}

two_begin
work_outside "$HANDSETS_WORK" || linux_fail "the world outside"
disk=$(handset_dir a)/worker.disk
work_disk a "$disk" || linux_fail "no disk"
ctl a create worker --kernel /persona/vmlinux --initrd /persona/initramfs \
	--memory 128M --disk-image "$disk" --net --append "$LINUX_APPEND" --start ||
	linux_fail "create"
linux_console a worker
await 30 linux_heard 'persona: up' || linux_fail "Linux does not boot"
work_asked start "$MACHINES_OUTSIDE" || linux_fail "the work does not begin: $WORK_SAID"
work_going a
work_clock a
console_close
two_ok "Linux works on a"

there_and_back "plain link"
for side in a b; do
	link_net $side tc qdisc replace dev $HANDSETS_IF root \
		netem delay 20ms loss 1% || linux_fail "no netem"
done
there_and_back "40 ms and 2 % loss on a round trip"

# What is on the disk, as the persona sees it and as the handset does.
linux_console a worker
work_asked stop || linux_fail "the work does not end: $WORK_SAID"
acked=$(work_acked)
[ "$acked" -gt 0 ] || linux_fail "nothing was acknowledged"
work_asked check "$acked" || linux_fail "the disk is not what it was: $WORK_SAID"
console_close
two_ok "a clean file system, and all of $acked acknowledged transactions"
ctl a stop worker || linux_fail "stop"
image=$(handset a bash -c 'ls "$1"/images/*/disk0.img' bash "$(state_dir a)") ||
	linux_fail "no image"
handset a e2fsck -fn "$image" < /dev/null || linux_fail "the image is not clean"
two_ok "all"

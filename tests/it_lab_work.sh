#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: a Debian persona made by persona-mkimage, with disk and network, works while
# it goes there and back twice between two emulated machines, first over a plain link,
# then over one with delay and loss. Afterwards no transaction that it acknowledged
# to the world outside is missing, its web page went on without a hole, its clock is
# right, no program died, its file system is clean, and it starts again from its disk.
# Needs no KVM here. Invariants 1, 3, 8.
set -u

. "${srcdir:-$(dirname "$0")/..}/tests/lib/two.sh"
. "${srcdir:-$(dirname "$0")/..}/tests/lib/work.sh"

work_parts() {
	lab_template
	work_programs "$LAB_WORK"
}
if [ "${1:-}" != story ]; then
	lab_need mmdebstrap mke2fs cpio
	two_story work_parts
fi

boot() {	# boot SIDE
	linux_console "$1" worker
	await 60 linux_heard '^root@worker:' || linux_fail "Debian does not boot on $1"
}

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
cp "$LAB_WORK/programs.tar" "$HANDSETS_WORK/"
work_outside "$HANDSETS_WORK" || linux_fail "the world outside"
handset_put a "$(handset_dir a)/template" < "$LAB_TEMPLATE" || linux_fail "put"
ctl a create worker --image "$(handset_dir a)/template" --memory 160M --net \
	--append "mitigations=off pci=off" --start || linux_fail "create"
boot a
two_ok "Debian boots on a"
linux_asked 'ip -4 -o addr show dev eth0' 'inet 10\.' || linux_fail "no address"
linux_asked "busybox wget -q -O - http://$MACHINES_OUTSIDE:7180/programs.tar | tar -xC /; ls /job/work" \
	'^/job/work$' || linux_fail "the programs do not come"
work_asked start "$MACHINES_OUTSIDE" || linux_fail "the work does not begin: $WORK_SAID"
work_going a
work_clock a
console_close
two_ok "it works on a"

there_and_back "plain link"
for side in a b; do
	link_net $side tc qdisc replace dev $HANDSETS_IF root \
		netem delay 20ms loss 1% || linux_fail "no netem"
done
there_and_back "40 ms and 2 % loss on a round trip"

linux_console a worker
acked=$(work_acked)
[ "$acked" -gt 0 ] || linux_fail "nothing was acknowledged"
work_asked stop || linux_fail "the work does not end: $WORK_SAID"
work_asked check "$acked" || linux_fail "transactions are missing: $WORK_SAID"
work_asked fsck || linux_fail "the file system is not clean: $WORK_SAID"
two_ok "all of $acked acknowledged transactions, and a clean file system"
console_close

ctl a stop worker || linux_fail "stop"
ctl a start worker || linux_fail "start"
boot a
work_asked check "$acked" || linux_fail "lost when switched off: $WORK_SAID"
two_ok "all"

#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: two emulated handsets, machines with kernels, disks and clocks of their own on
# one link, find each other, are paired, and a Linux persona goes there and back twice
# between them, first over a plain link, then over one with delay and loss. A process
# in it checks that memory and clocks survive. Needs no KVM here. Invariants 1, 2, 3, 8.
set -u

. "${srcdir:-$(dirname "$0")/..}/tests/lib/two.sh"
[ "${1:-}" = story ] || two_story

# there_and_back WORDS: one round trip
there_and_back() {
	local words=$1 way
	for way in 'a b' 'b a'; do
		set -- $way
		linux_move "$1" "$2" linux --budget 10000
		linux_console "$2" linux
		linux_well "$2"
		linux_asked 'echo ali''ve $((1 + 1))' '^alive 2' ||
			linux_fail "the shell died"
		console_close
		[ "$(state "$1" linux)" = moved ] ||
			linux_fail "$1 says $(state "$1" linux) of what moved away"
		two_ok "$words: moved from $1 to $2, alive: $LINUX_WITNESS"
	done
}

two_begin
ctl a create linux --kernel /persona/vmlinux --initrd /persona/initramfs \
	--memory 96M --append "$LINUX_APPEND" --start || linux_fail "create"
linux_console a linux
await 30 linux_heard 'persona: up' || linux_fail "Linux does not boot"
linux_well a
console_close
two_ok "Linux boots on a"

there_and_back "plain link"
for side in a b; do
	link_net $side tc qdisc replace dev $HANDSETS_IF root \
		netem delay 20ms loss 1% || linux_fail "no netem"
done
there_and_back "40 ms and 2 % loss on a round trip"
two_ok "all"

#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: the small guest is a good witness. Under QEMU with KVM it fills its memory,
# beats, answers, checks everything, notices a single wrong bit and powers off; by
# multiboot and by PVH alike. So what it says under persona-vmm can be believed.
set -eu

guest=$PWD/tests/guest/guest.elf
say() { echo "it_guest_qemu: $*"; }
skip() { echo "SKIP: it_guest_qemu: $*"; exit 77; }

command -v qemu-system-x86_64 >/dev/null || skip "qemu-system-x86_64 is not installed"
[ -w /dev/kvm ] || skip "no /dev/kvm that may be used"

work=$(mktemp -d)
qemu=
cleanup() {
	exec 3>&-
	[ -z "$qemu" ] || kill "$qemu" 2>/dev/null || :
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
fail() {
	say "FAILED: $*"
	tail -n 20 "$work/out"
	exit 1
}

# boot KERNEL OPTIONS...: what the guest prints goes to $work/out, fd 3 types
boot() {
	local kernel=$1
	shift
	exec 3>&-
	rm -f "$work/in"
	mkfifo "$work/in"
	: > "$work/out"
	exec 3<> "$work/in"
	qemu-system-x86_64 -enable-kvm -cpu kvm64 -m 128 -nodefaults -vga none \
		-display none -no-reboot -serial stdio -kernel "$kernel" \
		-append "$*" < "$work/in" > "$work/out" 2> "$work/err" &
	qemu=$!
	await 60 '^ready '
}

# await SECONDS PATTERN: until a line of the guest's matches
await() {
	local end=$((SECONDS + $1))
	until grep -aqE "$2" "$work/out"; do
		[ $SECONDS -lt $end ] || fail "no line like '$2' in $1 s"
		kill -0 "$qemu" 2>/dev/null || { cat "$work/err"; fail "QEMU died"; }
		sleep 0.1
	done
}

# gone: the guest has powered off and QEMU left on its own
gone() {
	local end=$((SECONDS + 20))
	while kill -0 "$qemu" 2>/dev/null; do
		[ $SECONDS -lt $end ] || fail "did not power off"
		sleep 0.1
	done
	wait "$qemu" || fail "QEMU ended with $?"
	qemu=
}

boot "$guest" beat=100 rate=20M hot=16M seed=5
grep -aq ' seed=5 ' "$work/out" || fail "the command line was not heard"
await 30 '^beat n=15 .* bad=0 .* fpu=ok'
await 30 '^beat .* passes=[1-9]'
echo 'good evening' >&3
await 20 '^echo: good evening'
echo v >&3
await 60 '^verify '
grep -aqE '^verify ok .* bad=0' "$work/out" || fail "verify is not content"
say "beats, echoes, verifies"

# An unclosed line counts too; and no more is dirtied than was asked, 5 pages a ms
# (a busy machine may leave it less time). The last beat may be half a line yet.
printf b >&3
await 20 '^echo: b'
sed '$d' "$work/out" |
	awk '/^beat/ { split($3, t, "="); split($4, d, "=") }
	    END { rate = d[2] / t[2]; exit !(rate > 0 && rate < 5.5) }' ||
	fail "dirties more than was asked, or nothing"

for page in 3 20000; do		# a hot one and a static one
	echo "corrupt $page" >&3
done
await 60 '^BAD what=hot .* bytes=1'
await 60 '^BAD what=static .* bytes=1'
await 20 '^beat .* bad=2 '
echo v >&3
await 60 '^verify BAD '
say "one wrong bit is noticed, wherever it is"
echo q >&3
await 20 '^bye'
gone

# The same file without its multiboot header is taken by its PVH note.
cp "$guest" "$work/pvh.elf"
[ "$(od -An -tx4 -j4096 -N4 "$guest")" = " 1badb002" ] ||
	fail "the multiboot header is not where it was"
printf '\0\0\0\0' | dd of="$work/pvh.elf" bs=1 seek=4096 conv=notrunc status=none
boot "$work/pvh.elf" beat=100 tick=2 timer=500 exit=1500 colour=red
grep -aq '^warn not understood: colour=red' "$work/out" ||
	fail "a word not understood was not told"
await 20 '^\.\.\.'
await 20 '^bye'
gone
grep -aq ' bad=0 ' "$work/out" || fail "no good beat by PVH"
say "starts by PVH, sleeps and wakes, leaves when told to"

# SPDX-License-Identifier: ISC
# The working persona: lab/linux-persona with a disk, a network and what lab/persona
# does all day, and what outside says of it. To be sourced by bash after linux.sh and
# lab.sh. Knows its programs; knows no story.
#
#   work_parts                 more parts of its initramfs, for lab/linux-persona
#   work_disk SIDE FILE        make its disk, on that handset
#   work_outside DIRECTORY     begin lab/outside.py; its pid in WORK_OUTSIDE_PID
#   work_acked                 the last transaction that outside has heard of
#   work_asked WORD...         `work WORD...` typed at the console that is open; its
#                              words in WORK_SAID; false unless it ended with 0
#   work_clock SIDE            its clock is this side's
#   work_going SIDE            every program lives, none saw anything wrong, each gets
#                              further while it is looked at

WORK_SAID=
WORK_OUTSIDE_DIR=
declare -A WORK_BEFORE

work_parts() {
	local f module
	for f in work rewrite follow dhcp; do
		echo "file $LAB_TESTS/lab/persona/$f /job/$f"
	done
	echo "program $LAB_BUILD/tests/lab/persona/ledger /job/ledger"
	echo "program $LAB_BUILD/tests/lab/witness /job/witness"
	echo "program $(command -v e2fsck) /bin/e2fsck"
	for f in udhcpc wget sha256sum dd sync mv sed dirname umount mkdir kill \
	    mkfifo setsid ip ifconfig route tail rm; do
		echo "link busybox /bin/$f"
	done
	for module in virtio_pci virtio_blk ext4 crc32c_generic virtio_net af_packet; do
		echo "module $module"
	done
}

work_disk() {
	handset "$1" bash -c 'truncate -s 64M "$1" && mke2fs -q -t ext4 "$1"' bash "$2"
}

work_outside() {
	WORK_OUTSIDE_DIR=$1
	python3 "$(dirname "${BASH_SOURCE[0]}")/../lab/outside.py" "$1" 7100 7180 \
		< /dev/null > "$1/outside.log" 2>&1 &
	WORK_OUTSIDE_PID=$!
	HANDSETS_PIDS="$! $HANDSETS_PIDS"
	await 10 grep -qs '^ready' "$1/outside.log"
}

work_acked() {
	local last
	last=$(tail -n 1 "$WORK_OUTSIDE_DIR/acks")
	echo "${last:-0}"
}

# Typed once: what it does must not be done twice.
work_asked() {
	: > "$_linux_said"
	echo "/job/work $*" >&6
	await 60 linux_heard "^work: $1: [0-9]+"
	WORK_SAID=$(linux_said)
	linux_heard "^work: $1: 0\$"
}

_work_value() {
	echo "$WORK_SAID" | sed -n "s/^$1.* $2=\([-0-9]*\).*/\1/p" | tail -n 1
}

_work_zero() {
	[ "$(_work_value "$1" "$2")" = 0 ] || linux_fail "$3: $WORK_SAID"
}

_work_numbers() {
	work_asked said || linux_fail "a program of the persona died: $WORK_SAID"
	WORK_SAID=$(echo "$WORK_SAID" |
		grep -E '^(ledger|rewrite|follow|rounds|alive)')
}

# All have got further than WORK_BEFORE, or WORK_STILL says who has not.
_work_further() {
	local what now
	WORK_STILL=
	_work_numbers
	for what in "ledger n" "rewrite rounds" "follow next"; do
		now=$(_work_value $what)
		[ "${now:-0}" -gt "${WORK_BEFORE[$what]}" ] ||
			WORK_STILL="$WORK_STILL $what"
	done
	[ -z "$WORK_STILL" ]
}

# The numbers count from now: before the move is not after it.
work_going() {
	local what
	_work_numbers
	for what in "ledger n" "rewrite rounds" "follow next"; do
		WORK_BEFORE[$what]=$(_work_value $what)
	done
	await 30 _work_further || linux_fail "stands still on $1:$WORK_STILL: $WORK_SAID"
	_work_zero rewrite bad "the file was not what was written, on $1"
	_work_zero follow holes "the page had holes on $1"
	_work_zero rounds bad "memory was damaged on $1"
	_work_zero rounds backward "a clock went backwards on $1"
	echo "$WORK_SAID"
}

# The machines took the time from this one, to the second, when they booted.
work_clock() {
	local here there
	linux_asked 'echo cl''ock $(date +%s)' '^clock [0-9]+$' ||
		linux_fail "no clock on $1"
	here=$(date +%s)
	there=$(linux_said | sed -n 's/^clock \([0-9]*\)$/\1/p' | tail -n 1)
	[ $((here - there)) -le 5 ] && [ $((there - here)) -le 5 ] ||
		linux_fail "its clock is $((there - here)) s off on $1"
}

#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: the disk is full when a suspended persona is to go on, which it does on its
# memory file; and when a persona file is imported. Both are refused with the reason,
# what was good stays, and with room again it goes on where it was. (Invariant 4.)
set -u

[ "$(id -u)" = 0 ] || {
	echo "SKIP: it_saved_full: a small disk can be mounted by root alone"
	exit 77
}
[ "${1:-}" = alone ] ||
	exec unshare -m --propagation private bash "$0" alone
. "${srcdir:-$(dirname "$0")/..}/tests/lib/daemon.sh"
trap 'umount -l "$work/state" 2> /dev/null; clean' EXIT

fill() {
	dd if=/dev/zero of="$work/state/fill" bs=4096 2> /dev/null
	return 0
}
mkdir "$work/state"
mount -t tmpfs -o size=100m,mode=700 tmpfs "$work/state" || {
	echo "SKIP: it_saved_full: tmpfs cannot be mounted here"
	exit 77
}
must "personad starts" start_daemon
must "a persona" ctl create work --kernel "$guest" --memory 64M \
	--append "beat=100 rate=1M hot=4M verify=off" --start
must "runs" await 60 beats work
n=$(beat_value "$(last_beat work)" n)
must "it is suspended" ctl suspend work
memory=$work/state/images/$(field work id)/suspended/memory
kept=$(sha256sum < "$memory")
fill
says "no room for all of its memory" start work
must "it is suspended still" state_is work suspended
[ "$(sha256sum < "$memory")" = "$kept" ] && ok "its memory is as it was" ||
	bad "its memory has changed"
rm "$work/state/fill"

truncate -s 4M "$work/disk"
head -c 3M /dev/urandom | dd of="$work/disk" conv=notrunc status=none
must "another persona" ctl create other --kernel "$guest" --memory 64M \
	--disk-image "$work/disk"
must "becomes a file" ctl export other "$work/other.persona" --plain
fill
says "room|full|space" import "$work/other.persona" --name third
[ "$(ctl list --names | wc -l)" = 2 ] && [ "$(ls "$work/state/images" | wc -l)" = 2 ] &&
	ok "nothing of it is left" || bad "left: $(ls "$work/state/images")"
rm "$work/state/fill"
must "with room again it is imported" ctl import "$work/other.persona" --name third

must "and the suspended one starts" ctl start work
must "and runs" await 60 beats work
[ "$(beat_value "$(last_beat work)" n)" -gt "$n" ] && ok "from where it was" ||
	bad "it began anew"
ctl kill work > /dev/null 2>&1

[ $failures = 0 ] && echo "all of it" || echo "$failures failed"
exit $((failures > 0))

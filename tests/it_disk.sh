#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: a persona with disks. They are made empty or from an image and cost what is
# written; what the guest was told is flushed survives kill -9 of its persona-vmm;
# pauses and a new personad change nothing; on full storage the guest stands still,
# and goes on when there is room. Invariants 4, 7, 8.
set -u

. "${srcdir:-$(dirname "$0")/..}/tests/lib/daemon.sh"

trap 'umount -l "$work/state" 2>/dev/null; clean' EXIT

id=
image() { echo "$work/state/images/$id/$1"; }
stored() { du -k "$1" | cut -f1; }
# The latest heartbeat in which field $2 is at least $3.
beat_has() {
	local v
	v=$(beat_value "$(last_beat "$1")" "$2")
	[ -n "$v" ] && [ "$v" -ge "$3" ]
}
# "found=" and "bad=" of the line that a look through the disk ends with.
looked() { listen "$1" | grep '^disk blocks=' | tail -n 1; }
has_looked() { look=$(looked "$1"); [ -n "$look" ]; }

says() { ctl "${@:2}" 2>&1 | grep -q -e "$1"; }
# It may have had the time for a word in between.
stands_still_again() { ctl resume f && await 30 says 'STANDS STILL' show f; }

# 300 KB of data, a hole of 3 MB, 5 bytes: no multiple of anything.
source_image=$work/source.img
head -c 300000 /dev/urandom > "$source_image"
truncate -s 3300000 "$source_image"
printf 'tail\n' >> "$source_image"

must "personad starts" start_daemon
mustnot "a disk of no whole pages is refused" ctl create d --kernel "$guest" \
	--memory 64M --disk 5K 2>/dev/null
mustnot "a third disk is refused" ctl create d --kernel "$guest" --memory 64M \
	--disk 1M --disk 1M --disk 1M 2>/dev/null
mustnot "an image that is not there is refused" ctl create d --kernel "$guest" \
	--memory 64M --disk-image "$work/none" 2>/dev/null
[ -z "$(ls "$work/state/images")" ] && ok "and nothing is left of those" ||
	bad "and nothing is left of those: $(ls "$work/state/images")"

must "a persona is made with two disks" ctl create d --kernel "$guest" --memory 64M \
	--append "beat=100 rate=1M hot=4M verify=off disk=2M" \
	--disk 16M --disk-image "$source_image"
id=$(field d id)
[ "$(stored "$(image disk0.img)")" = 0 ] && ok "the empty one costs nothing" ||
	bad "the empty one costs nothing: $(stored "$(image disk0.img)") KB"
[ "$(stat -c %s "$(image disk0.img)")" = $((16 << 20)) ] &&
	[ "$(stat -c %s "$(image disk1.img)")" = $((3301376)) ] &&
	ok "both have their sizes" || bad "both have their sizes: $(ls -l "$(image .)")"
must "the image was copied" cmp -n 3300005 "$source_image" "$(image disk1.img)"
[ "$(stored "$(image disk1.img)")" -lt 1000 ] && ok "and its hole is a hole" ||
	bad "and its hole is a hole: $(stored "$(image disk1.img)") KB"
ctl show d --json | grep -q '"disks":\[{"bytes":16777216,"used_bytes":0' &&
	ok "show tells of them" || bad "show tells of them: $(ctl show d --json)"

must "it starts" ctl start d
must "the guest writes and flushes" await 60 beat_has d disk_flushed 16
must "and reads" await 60 beat_has d disk_read 8
[ "$(beat_value "$(last_beat d)" disk_bad)" = 0 ] && ok "what it wrote" ||
	bad "what it wrote: $(last_beat d)"
[ "$(stored "$(image disk0.img)")" -gt 0 ] && ok "which costs what it is" ||
	bad "which costs what it is"

must "it is paused" ctl pause d
before=$(sha256sum < "$(image disk0.img)")
must "and still paused a moment later" state_is d paused
after=$(sha256sum < "$(image disk0.img)")
[ "$before" = "$after" ] && ok "a paused guest's disk is still" ||
	bad "a paused guest's disk is still"
must "it is resumed" ctl resume d
written=$(beat_value "$(last_beat d)" disk_written)
must "and writes on" await 60 beat_has d disk_written $((written + 20))

# --- personad dies, then persona-vmm -------------------------------------------------
kill -9 "$daemon"
wait "$daemon" 2>/dev/null
must "personad starts again" start_daemon
must "it finds the guest" state_is d running
written=$(beat_value "$(last_beat d)" disk_written)
must "which writes on" await 60 beat_has d disk_written $((written + 20))
beat=$(last_beat d)
flushed=$(beat_value "$beat" disk_flushed)
[ "$(beat_value "$beat" disk_bad)" = 0 ] && ok "and rightly" ||
	bad "and rightly: $beat"

kill -9 "$(field d vmm_pid)"
must "its end is noticed" await 10 state_is d crashed
must "it is started anew" ctl start d
must "the guest looks through its disk" await 60 has_looked d
found=$(beat_value "$look" found)
[ "${found:-0}" -ge "$flushed" ] && [ "$(beat_value "$look" bad)" = 0 ] &&
	ok "and finds all that was flushed: $found of $flushed" ||
	bad "and finds all that was flushed: $look, flushed $flushed"
must "the second disk is as it was" cmp -n 3300005 "$source_image" \
	"$(image disk1.img)"

# --- storage that fails --------------------------------------------------------------
# A limit on the size of files stands for a medium that does not take every block.
mustnot "no error is shown where there is none" says 'STORAGE FAILS' show d
# Only who is the same user may set it, or who has a right that root may lack.
id_of() { sed -n "s/^$1:[ \t]*\([0-9]*\).*/\1/p" "/proc/$2/status"; }
fail_storage() {
	local pid as=
	pid=$(field d vmm_pid)
	[ "$(id -u)" != 0 ] || as="setpriv --reuid $(id_of Uid "$pid")
		--regid $(id_of Gid "$pid") --clear-groups"
	$as prlimit --pid "$pid" --fsize=65536:
}
if command -v prlimit > /dev/null && command -v setpriv > /dev/null; then
	must "the storage of its disk begins to fail" fail_storage
	must "show says so" await 30 says \
		'STORAGE FAILS .*requests.*last: File too large' show d
	errors=$(field d errors)
	[ "${errors:-0}" -ge 1 ] && ok "with a number: $errors" ||
		bad "with a number: $(ctl show d --json)"
	must "of one disk" says '"errors":[1-9][0-9]*,"last_error":"File too large"}' \
		show d --json
	grep -q 'persona d: the storage of disk 0 fails: File too large' "$work/log" &&
		ok "and the log" || bad "the log says nothing"
	more_errors() { [ "$(field d errors)" -gt "$errors" ]; }
	must "it counts on" await 30 more_errors
	kill -9 "$daemon"
	wait "$daemon" 2>/dev/null
	must "personad starts again" start_daemon
	must "and knows of it" says 'STORAGE FAILS .*File too large' show d
	must "the guest lives" state_is d running
else
	echo "note: failing storage was not tried, there is no prlimit"
fi
must "it is stopped" ctl stop d
must "it is deleted" ctl delete d --yes
[ -z "$(ls "$work/state/images")" ] && ok "with all its files" ||
	bad "with all its files: $(ls "$work/state/images"/*)"

# --- storage that fills up -----------------------------------------------------------
kill "$daemon"
wait "$daemon"
if mount -t tmpfs -o size=12m,mode=700 tmpfs "$work/state" 2>/dev/null; then
	must "personad starts on 12 MB" start_daemon
	dd if=/dev/zero of="$work/state/ballast" bs=1M count=9 2>/dev/null
	must "a disk may be larger than that" ctl create f --kernel "$guest" \
		--memory 64M --disk 8M --start --append "beat=100 rate=0 verify=off disk=100M"
	must "when it is full the guest stands still" await 60 state_is f paused
	must "show says why" says 'STANDS STILL .*storage of this handset is full' show f
	must "and list" says '^f: the storage of this handset is full' list
	grep -q 'persona f: disk0: cannot be written.*No space left' "$work/log" &&
		ok "and the log" || bad "the log says nothing"
	must "resumed too early it stands still again" stands_still_again
	must "room is made" rm "$work/state/ballast"
	must "it is resumed" ctl resume f
	must "it goes on" await 10 state_is f running
	mustnot "and show has nothing to say" says 'STANDS STILL' show f
	must "it writes on" await 60 beats f
	written=$(beat_value "$(last_beat f)" disk_written)
	must "further and further" await 60 beat_has f disk_written $((written + 20))
	[ "$(beat_value "$(last_beat f)" disk_bad)" = 0 ] &&
		ok "it never heard of it, and all is right" ||
		bad "the guest was told: $(last_beat f)"
	must "it can be ended" ctl kill f
	must "and deleted" ctl delete f --yes
	kill "$daemon"
	wait "$daemon"
	umount "$work/state"
else
	echo "note: full storage was not tried, mounting takes root"
fi
daemon=
echo "$failures failures"
[ "$failures" = 0 ]

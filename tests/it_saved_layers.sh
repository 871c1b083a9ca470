#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: a persona over a template is checkpointed while it writes to its disk. The
# checkpoint holds the persona's own blocks alone, and goes on being whole: restored,
# it lies over the template again and its guest finds what it wrote; exported, the
# file has all of the disk. (Invariants 3, 8.)
set -u

. "${srcdir:-$(dirname "$0")/..}/tests/lib/daemon.sh"

image() { echo "$work/state/images/$(field "$1" id)"; }
blocks() { stat -c %b "$1"; }
# The guest's log takes 4 MiB at most, the template holds 8 MiB behind them.
few() { [ "$(blocks "$1")" -gt 0 ] && [ "$(blocks "$1")" -le 9000 ]; }
claimed() { [ "$(tr -d '\0' < "$1" | wc -c)" -gt 0 ]; }
off() { state_is "$1" stopped || state_is "$1" crashed; }
flushed_beyond() {
	local v
	v=$(beat_value "$(last_beat ada)" disk_flushed)
	[ -n "$v" ] && [ "$v" -gt "$1" ]
}
finds_it() {
	[ "$(beat_value "$(last_beat ada)" disk_bad)" = 0 ]
}

truncate -s 32M "$work/disk"
head -c 8M /dev/urandom | dd of="$work/disk" bs=1M seek=4 conv=notrunc status=none
must "a template" "$bin/personactl" image pack --kernel "$guest" --disk "$work/disk" \
	--name base --memory 64M --cmdline "beat=100 rate=1M hot=4M disk=256K" \
	"$work/base.persona"
must "personad starts" start_daemon
must "a persona over it" ctl create --image "$work/base.persona" ada --start
must "writes" await 180 flushed_beyond 16
must "it is checkpointed" ctl checkpoint ada
saved=$(image ada)/checkpoints/1
must "the checkpoint holds few blocks" few "$saved/disk0.img"
must "and which they are" claimed "$saved/disk0.map"
must "it writes on" await 180 flushed_beyond 64

ctl kill ada > /dev/null 2>&1
must "it is off" await 20 off ada
must "it goes back" ctl restore ada 1 --yes
must "over the template again" few "$(image ada)/disk0.img"
must "with its map" claimed "$(image ada)/disk0.map"
must "it starts" ctl start ada
must "and writes on" await 180 flushed_beyond 24
must "and finds what it wrote" finds_it
ctl kill ada > /dev/null 2>&1
must "it is off" await 20 off ada
# Cold: the guest reads its whole log before it goes on.
must "it starts from power-off" ctl start ada
must "and reads its log" await 180 flushed_beyond 24
must "which is whole" finds_it
ctl kill ada > /dev/null 2>&1
await 20 off ada

must "the checkpoint becomes a file" ctl export ada "$work/ada.persona" \
	--checkpoint 1 --plain
must "and a persona" ctl import "$work/ada.persona" --name bob
mustnot "that shares nothing" test -e "$(image bob)/disk0.map"
must "and has all of the disk" cmp -i 4194304 "$work/disk" "$(image bob)/disk0.img"
must "whole" [ "$(stat -c %s "$(image bob)/disk0.img")" = 33554432 ]

mustnot "the template is not removed under a checkpoint" ctl image remove base
must "the persona is deleted" ctl delete ada --yes
must "then it is" ctl image remove base

[ $failures = 0 ] && echo "all of it" || echo "$failures failed"
exit $((failures > 0))

#!/bin/sh
# SPDX-License-Identifier: ISC
# persona-vmm on the real /dev/kvm with the small guest: boot, pause, clocks, dirty
# pages, throttle, save in one process and load in another, refusals, a new owner,
# ends. Defends invariants 1 and 2: a transfer can neither stop nor resume a guest.
set -u

build=${BUILD_DIR:-.}
vmm=$build/persona-vmm
guest=$build/tests/guest/guest.elf

skip()
{
	echo "it_vmm: skipped: $1"
	exit 77
}

for needed in "$vmm" "$build/tests/vmmdrive" "$guest"; do
	[ -r "$needed" ] || { echo "it_vmm: $needed is missing" >&2; exit 1; }
done
verdict=$("$vmm" --probe --json) || skip "no KVM: $verdict"
case $verdict in
*'"small_guests":true'*) ;;
*) skip "this KVM runs no small guests: $verdict" ;;
esac

dir=$(mktemp -d "${TMPDIR:-/tmp}/it_vmm.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM HUP

# vmmdrive ends its own children; the limit is for a machine that hangs.
timeout -k 5 180 "$build/tests/vmmdrive" "$vmm" "$guest" "$dir"

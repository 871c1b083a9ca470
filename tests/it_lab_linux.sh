#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: Debian's Linux boots under persona-vmm to a shell on the serial line and
# on the virtio console, and moves, running, between two personads; a process in
# it checks that memory and clocks survive. Runs in an emulated machine with
# nested KVM, so it needs no KVM here. Invariants 1, 2, 3, 8.
#
# This half makes the machine; lab/story-linux is what happens inside.
set -eu

src=${srcdir:-$(dirname "$0")/..}/tests
build=$PWD
PATH=$PATH:/usr/sbin:/sbin

skip() {
	echo "SKIP: it_lab_linux: $*"
	exit 77
}

for tool in qemu-system-x86_64 busybox depmod xz apt-get dpkg-deb sshd \
    dbus-daemon avahi-daemon ip tc; do
	command -v $tool >/dev/null || skip "$tool is not installed"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

kernel=${PERSONA_LAB_CACHE:-$build/lab-kernel}
"$src/lab/kernel" "$kernel" || skip "no Debian kernel to be had"
make -s -C "$build" install DESTDIR="$work/root" > "$work/install.log" 2>&1 || {
	cat "$work/install.log"
	exit 1
}
"$src/lab/linux-persona" "$work/persona.cpio" "$kernel" \
	"$build/tests/lab/witness"
"$src/lab/handset" "$work/handset.cpio" "$kernel" "$work/root" \
	"$src/lab/story-linux" "$work/persona.cpio" "$src"
"$src/lab/machine" "$kernel" "$work/handset.cpio" "${LAB_SECONDS:-1500}"

#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: persona-mkimage builds a Debian persona from packages; two personas made
# of it boot under persona-vmm to a prompt, each with an identity of its own, with
# a disk that keeps what was written. Runs in an emulated machine with nested KVM.
# Invariants 4, 7.
#
# This half builds; lab/story-mkimage is what happens inside.
set -eu

src=${srcdir:-$(dirname "$0")/..}/tests
build=$PWD
PATH=$PATH:/usr/sbin:/sbin

skip() {
	echo "SKIP: it_lab_mkimage: $*"
	exit 77
}

for tool in qemu-system-x86_64 busybox depmod xz apt-get dpkg-deb sshd \
    dbus-daemon avahi-daemon ip tc mmdebstrap mke2fs cpio; do
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

# Packages are fetched once for all runs in this build directory.
image=${PERSONA_LAB_IMAGE:-$build/lab-debian.persona}
if [ ! -e "$image" ] || [ "$build/mkimage/persona-mkimage" -nt "$image" ]; then
	rm -f "$image"
	PATH=$build:$PATH PERSONA_MKIMAGE_DATA=$src/../mkimage \
		"$build/mkimage/persona-mkimage" --quiet --size 600M \
		--name debian "$image"
fi
echo "the template has $(($(stat -c %s "$image") >> 20)) MiB"

"$src/lab/linux-persona" "$work/persona.cpio" "$kernel" \
	"$build/tests/lab/witness"
LAB_FILES="file $image /persona/debian.persona" \
"$src/lab/handset" "$work/handset.cpio" "$kernel" "$work/root" \
	"$src/lab/story-mkimage" "$work/persona.cpio" "$src"
LAB_MEMORY=3072 "$src/lab/machine" "$kernel" "$work/handset.cpio" \
	"${LAB_SECONDS:-1500}"

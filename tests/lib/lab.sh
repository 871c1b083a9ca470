# SPDX-License-Identifier: ISC
# One emulated handset machine with nested KVM, and a story inside it. To be sourced
# by bash from an it_lab_*.sh; knows how the machine is made, knows no story.
#
#   lab_story NAME   run tests/lab/story-NAME in a machine that has our programs as
#                    installed, and a small Linux persona; leaves with its status, or
#                    with 77 when this machine lacks something

lab_skip() {
	echo "SKIP: it_lab_$lab_name: $*"
	exit 77
}

lab_story() {
	local src=${srcdir:-$(dirname "$0")/..}/tests build=$PWD kernel tool
	lab_name=$1
	PATH=$PATH:/usr/sbin:/sbin
	for tool in qemu-system-x86_64 busybox depmod xz apt-get dpkg-deb sshd \
	    dbus-daemon avahi-daemon ip tc; do
		command -v $tool >/dev/null || lab_skip "$tool is not installed"
	done
	lab_work=$(mktemp -d)
	trap 'rm -rf "$lab_work"' EXIT
	trap 'exit 1' INT TERM

	kernel=${PERSONA_LAB_CACHE:-$build/lab-kernel}
	"$src/lab/kernel" "$kernel" || lab_skip "no Debian kernel to be had"
	make -s -C "$build" install DESTDIR="$lab_work/root" \
	    > "$lab_work/install.log" 2>&1 || {
		cat "$lab_work/install.log"
		exit 1
	}
	"$src/lab/linux-persona" "$lab_work/persona.cpio" "$kernel" \
		"$build/tests/lab/witness"
	"$src/lab/handset" "$lab_work/handset.cpio" "$kernel" "$lab_work/root" \
		"$src/lab/story-$lab_name" "$lab_work/persona.cpio" "$src"
	"$src/lab/machine" "$kernel" "$lab_work/handset.cpio" \
		"${LAB_SECONDS:-1500}"
}

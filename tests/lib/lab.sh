# SPDX-License-Identifier: ISC
# What emulated handset machines are made from, and a story inside a single one. To be
# sourced by bash in the build directory; knows how a machine is made, knows no story.
#
#   lab_need TOOL...  exit 77 with a reason where this machine lacks one of these, or
#                     one that every such story wants
#   lab_make [PARTS]  Debian's kernel in $LAB_KERNEL, our programs installed below
#                     $LAB_ROOT, a small Linux persona in $LAB_WORK/persona.cpio (PARTS:
#                     a file with more of it); all of it ends with the story
#   lab_handset FILE STORY [PARTS]
#                     the initramfs of a machine that begins with STORY
#   lab_template      a Debian template in $LAB_TEMPLATE, made by persona-mkimage once
#                     for all stories of a build directory; lab_need mmdebstrap mke2fs
#                     cpio before
#   lab_story NAME    run tests/lab/story-NAME in a machine; leaves with its status, or
#                     with 77 when this machine lacks something

LAB_TESTS=${srcdir:-$(dirname "$0")/..}/tests
LAB_BUILD=$PWD
PATH=$PATH:/usr/sbin:/sbin

lab_skip() {
	echo "SKIP: ${0##*/}: $*"
	exit 77
}

lab_need() {
	local tool
	for tool in qemu-system-x86_64 busybox depmod xz apt-get dpkg-deb sshd \
	    dbus-daemon avahi-daemon ip tc "$@"; do
		command -v "$tool" >/dev/null || lab_skip "$tool is not installed"
	done
}

lab_make() {
	LAB_WORK=$(mktemp -d)
	trap 'rm -rf "$LAB_WORK"' EXIT
	trap 'exit 1' INT TERM
	LAB_KERNEL=${PERSONA_LAB_CACHE:-$LAB_BUILD/lab-kernel}
	"$LAB_TESTS/lab/kernel" "$LAB_KERNEL" ||
		lab_skip "no Debian kernel to be had"
	LAB_ROOT=$LAB_WORK/root
	make -s -C "$LAB_BUILD" install DESTDIR="$LAB_ROOT" \
	    > "$LAB_WORK/install.log" 2>&1 || {
		cat "$LAB_WORK/install.log"
		exit 1
	}
	install -D "$LAB_BUILD/tests/guest/guest.elf" "$LAB_ROOT/lab/guest.elf"
	"$LAB_TESTS/lab/linux-persona" "$LAB_WORK/persona.cpio" "$LAB_KERNEL" \
		"$LAB_BUILD/tests/lab/witness" "$@"
}

lab_handset() {
	local out=$1 story=$2
	shift 2
	"$LAB_TESTS/lab/handset" "$out" "$LAB_KERNEL" "$LAB_ROOT" "$story" \
		"$LAB_WORK/persona.cpio" "$LAB_TESTS" "$@"
}

lab_template() {
	LAB_TEMPLATE=${PERSONA_LAB_TEMPLATE:-$LAB_BUILD/lab-debian.persona}
	export LAB_TEMPLATE
	if [ ! -e "$LAB_TEMPLATE" ] ||
	    [ "$LAB_BUILD/mkimage/persona-mkimage" -nt "$LAB_TEMPLATE" ]; then
		rm -f "$LAB_TEMPLATE"
		PATH=$LAB_BUILD:$PATH PERSONA_MKIMAGE_DATA=$LAB_TESTS/../mkimage \
			"$LAB_BUILD/mkimage/persona-mkimage" --quiet --size 600M \
			--name debian "$LAB_TEMPLATE"
	fi
	echo "the template has $(($(stat -c %s "$LAB_TEMPLATE") >> 20)) MiB"
}

lab_story() {
	lab_need
	lab_make
	lab_handset "$LAB_WORK/handset.cpio" "$LAB_TESTS/lab/story-$1"
	"$LAB_TESTS/lab/machine" "$LAB_KERNEL" "$LAB_WORK/handset.cpio" \
		"${LAB_SECONDS:-1500}"
}

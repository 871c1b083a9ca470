#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: persona-mkimage builds a Debian persona from packages; two personas made
# of it boot under persona-vmm to a prompt, each with an identity of its own, with
# a disk that keeps what was written, also when the power is pulled. Runs in an emulated
# machine with nested KVM. Invariants 4, 7.
#
# This half builds; lab/story-mkimage is what happens inside.
set -eu
. "${srcdir:-$(dirname "$0")/..}/tests/lib/lab.sh"

lab_need mmdebstrap mke2fs cpio
lab_make
lab_template
lab_handset "$LAB_WORK/handset.cpio" "$LAB_TESTS/lab/story-mkimage" \
	<(echo "file $LAB_TEMPLATE /persona/debian.persona")
LAB_MEMORY=3072 "$LAB_TESTS/lab/machine" "$LAB_KERNEL" "$LAB_WORK/handset.cpio" \
	"${LAB_SECONDS:-1800}"

#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: the demo where KVM is the hardware's: it takes Debian's Linux for its persona,
# which goes there and back, and nothing is left. In an emulated machine, whose nested
# KVM is of that kind.
set -eu
. "${srcdir:-$(dirname "$0")/..}/tests/lib/lab.sh"

lab_need
lab_make
cat > "$LAB_WORK/parts" <<END
file $LAB_TESTS/demo /tests/demo
file $LAB_TESTS/lib/linux.sh /tests/lib/linux.sh
END
lab_handset "$LAB_WORK/handset.cpio" "$LAB_TESTS/lab/story-demo" "$LAB_WORK/parts"
"$LAB_TESTS/lab/machine" "$LAB_KERNEL" "$LAB_WORK/handset.cpio" \
	"${LAB_SECONDS:-1500}"

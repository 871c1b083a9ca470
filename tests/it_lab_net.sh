#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: Debian's Linux drives the network card: DHCP, a page fetched, a forward in;
# after a move between two personads an idle connection is reset and new ones work.
# Runs in an emulated machine with nested KVM.
set -eu
. "${srcdir:-$(dirname "$0")/..}/tests/lib/lab.sh"

parts=$(mktemp)
trap 'rm -f "$parts"' EXIT
lab_need
cat > "$parts" <<END
module virtio_net
module af_packet
file $LAB_TESTS/lab/bound /bin/bound
END
for applet in ip udhcpc wget nc httpd netstat mkfifo mkdir; do
	echo "link busybox /bin/$applet" >> "$parts"
done
lab_make "$parts"
echo "file $LAB_TESTS/lib/linux.sh /tests/lib/linux.sh" > "$parts"
lab_handset "$LAB_WORK/handset.cpio" "$LAB_TESTS/lab/story-net" "$parts"
rm -f "$parts"
"$LAB_TESTS/lab/machine" "$LAB_KERNEL" "$LAB_WORK/handset.cpio" \
	"${LAB_SECONDS:-1500}"

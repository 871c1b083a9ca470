#!/bin/bash
# SPDX-License-Identifier: ISC
# The real persona-sync at both ends of a real sshd moves a changing memory whole,
# and whatever of it is killed, the guest runs on at the source (invariants 2, 3).
set -u

build=${builddir:-$PWD}
case $build in /*) ;; *) build=$PWD/$build ;; esac
dir=$(mktemp -d "${TMPDIR:-/tmp}/it_sync.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

sshd=$(PATH=$PATH:/usr/sbin:/sbin command -v sshd) ||
	{ echo "SKIP: no sshd"; exit 77; }
if [ "$(id -u)" = 0 ]; then
	mkdir -p /run/sshd || { echo "SKIP: no /run/sshd"; exit 77; }
fi
chmod 700 "$dir"
mkdir -m 700 "$dir/source" "$dir/target"

failed=0
drive() {
	timeout 60 "$build/tests/syncdrive" "$dir" "$build/persona-gate" \
		"$build/persona-sync" "$@" >"$dir/out" 2>"$dir/err"
	if [ $? -eq 0 ]; then
		echo "ok: $*: $(tr '\n' ';' <"$dir/out")"
	else
		echo "FAILED: $*"
		cat "$dir/out" "$dir/err"
		failed=1
	fi
}

drive 128
drive 64 8000000
for fault in kill-send kill-receive cut cancel; do
	drive 64 4000000 "$fault"
done
exit $failed

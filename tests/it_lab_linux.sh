#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: Debian's Linux boots under persona-vmm to a shell on the serial line and
# on the virtio console, and moves, running, between two personads; a process in
# it checks that memory and clocks survive. Runs in an emulated machine with
# nested KVM, so it needs no KVM here. Invariants 1, 2, 3, 8.
set -eu
. "${srcdir:-$(dirname "$0")/..}/tests/lib/lab.sh"
lab_story linux

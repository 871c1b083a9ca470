#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: Debian's Linux finds the small devices and uses them: what it frees comes
# back to the handset, its clock is the handset's, it has a generation id; and after
# a move, before which it named its free memory, all of that is still so.
set -eu
. "${srcdir:-$(dirname "$0")/..}/tests/lib/lab.sh"
lab_story devices

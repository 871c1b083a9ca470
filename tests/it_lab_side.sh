#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: eight personas side by side, and one gone wild does not take the others'
# time: what they can tell stays within a bound of the same without it. In an
# emulated machine, whose kernel has the controllers of cgroup v2.
set -eu
. "${srcdir:-$(dirname "$0")/..}/tests/lib/lab.sh"
lab_story side

#!/bin/bash
# SPDX-License-Identifier: ISC
# it_pairing: two real persona-pair processes on the loopback; both persons say
# the digits are the same, one says they differ, cancels, is not ready at first,
# is cut off. Needs no root. (Invariant 6.)
set -u

bin=$PWD
failures=0

for story in same differ cancel late gone dead; do
	if timeout 60 "$bin/tests/pairdrive" "$bin/persona-pair" $story; then
		echo "ok: $story"
	else
		echo "FAIL: $story"
		failures=$((failures + 1))
	fi
done
[ $failures = 0 ]

#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: the demo shows a persona going there and back, and leaves nothing behind,
# neither at its end nor when it is interrupted half-way.
set -u

src=${srcdir:-$(dirname "$0")/..}
. "$src/tests/lib/handsets.sh"
handsets_need
[ -w /dev/kvm ] || { echo "SKIP: it_demo: no /dev/kvm that may be used"; exit 77; }

out=$(mktemp)
demo=
cleanup() {
	[ -z "$demo" ] || kill "$demo" 2>/dev/null
	rm -f "$out"
}
trap cleanup EXIT
fail() {
	echo "FAIL: $*"
	cat "$out"
	exit 1
}

# The namespaces and processes of the demo carry its pid.
left_behind() { ls -d /run/netns/persona-"$1"-* /tmp/persona-handsets-"$1".* 2>/dev/null; }

"$src/tests/demo" --build . --no-install --rate 400mbit > "$out" 2>&1 &
demo=$!
wait $demo || fail "the demo failed"
grep -q 'There and back, alive' "$out" || fail "the demo did not come to its end"
[ "$(grep -c 'demo now runs on' "$out")" = 2 ] || fail "not two moves"
[ -z "$(left_behind $demo)" ] || fail "left behind: $(left_behind $demo)"
echo "ok: there and back, and cleaned up"

# A shell starts background jobs deaf to SIGINT; env gives the demo its ears back.
env --default-signal=INT "$src/tests/demo" --build . --no-install > "$out" 2>&1 &
demo=$!
end=$((SECONDS + 60))
until grep -q 'round 1' "$out"; do
	[ $SECONDS -lt $end ] || fail "no move within a minute"
	sleep 0.1
done
kill -INT $demo
# As the terminal does it: the foreground command hears it too.
wait $demo
[ -z "$(left_behind $demo)" ] || fail "left behind: $(left_behind $demo)"
echo "ok: interrupted in mid-move, and cleaned up"
demo=

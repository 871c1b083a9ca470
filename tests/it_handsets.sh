#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: the bed that other stories lie on is what it says: a link of the asked rate
# whose bytes are counted, that can be cut and frozen and comes back, a D-Bus and an
# Avahi on each side, and nothing of it is left afterwards, not even after a kill.
set -eu

. "${srcdir:-$(dirname "$0")/..}/tests/lib/handsets.sh"
handsets_need
command -v python3 >/dev/null || { echo "SKIP: it_handsets: no python3"; exit 77; }
trap handsets_down EXIT
trap 'exit 1' INT TERM
fail() { echo "it_handsets: FAILED: $*"; exit 1; }

# send BYTES SECONDS: a sends to b; the Mbit/s it came to in $mbit
send() {
	local sink end=$((SECONDS + 10))
	: > "$(handset_dir b)/sink.log"
	handset_start b sink python3 -c '
import socket
s = socket.create_server(("", 5001)); print("ready", flush=True)
s.settimeout(30)
c = s.accept()[0]
while c.recv(65536): pass'
	sink=$!
	until grep -q ready "$(handset_dir b)/sink.log"; do
		[ $SECONDS -lt $end ] || fail "no listener on b"
		sleep 0.05
	done
	if ! handset a python3 -c '
import socket, sys, time
bytes, limit = int(sys.argv[2]), float(sys.argv[3])
s = socket.create_connection((sys.argv[1], 5001), limit)
t = time.monotonic(); s.sendall(bytes * b"x"); s.shutdown(1); s.recv(1)
print(int(bytes * 8e-6 / (time.monotonic() - t)))' "$(handset_addr b)" "$1" "$2" \
		> "$HANDSETS_WORK/mbit" 2>/dev/null
	then
		kill $sink
		wait $sink || :
		return 1
	fi
	wait $sink
	mbit=$(cat "$HANDSETS_WORK/mbit")
}

handsets_up 80mbit
before=$(link_bytes a)
send 5000000 20 || fail "nothing gets through"
carried=$(($(link_bytes a) - before))
[ "$mbit" -ge 50 ] && [ "$mbit" -le 85 ] || fail "80 Mbit/s came to $mbit"
[ $carried -ge 5000000 ] && [ $carried -le 6500000 ] ||
	fail "5 MB were counted as $carried bytes"

link_cut
! send 1000 2 || fail "a cut link carries"
handset a ip -o link show w0 | grep -q NO-CARRIER || fail "no carrier was lost"
link_mend
link_freeze
! send 1000 2 || fail "a frozen link carries"
handset a ip -o link show w0 | grep -q LOWER_UP || fail "frozen, it lost its carrier"
link_thaw none
send 50000000 20 && [ "$mbit" -gt 85 ] || fail "unlimited is limited"

# Each side has a bus and an Avahi of its own that answers.
for side in a b; do
	handset $side python3 -c '
import os, socket
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["DBUS_SYSTEM_BUS_ADDRESS"].split("=")[1])' ||
		fail "no D-Bus on $side"
	grep -q 'Joining mDNS multicast group on interface w0' \
		"$(handset_dir $side)/avahi.log" || fail "no Avahi on $side"
done
handsets_down

# Somebody else is killed outright; the next one clears what it left.
lib=${srcdir:-$(dirname "$0")/..}/tests/lib/handsets.sh
owner=$(bash -c '. "$1"; handsets_up none >/dev/null 2>&1
	echo $BASHPID; kill -9 $BASHPID' sh "$lib" 2>/dev/null) || :
[ -e "/run/netns/persona-$owner-a" ] || fail "the killed one left nothing to clear"
handsets_up none bare
[ ! -e "/run/netns/persona-$owner-a" ] || fail "leftovers of a killed one stay"
echo "it_handsets: the bed is what it says"

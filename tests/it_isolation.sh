#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: eight personas on one handset, each persona-vmm shut in by itself: a user
# of its own, no network, no file, no capability, no system call but its own; what
# it holds beside the guest's memory is measured. A personad that is restarted finds
# all of them, and gives nobody a user that is taken.
set -u

[ "$(id -u)" = 0 ] || {
	echo "SKIP: it_isolation: a user for each persona needs root"
	exit 77
}
. "${srcdir:-$(dirname "$0")/..}/tests/lib/daemon.sh"

FIRST_UID=1500000000
PERSONAS=8
daemon_options=(-o persona-uids=$FIRST_UID)

vmm_of() { field "$1" vmm_pid; }
status() { sed -n "s/^$2:[[:space:]]*\([^[:space:]]*\).*/\1/p" "/proc/$1/status"; }
uid_of() { status "$1" Uid; }

must "personad starts" start_daemon
for i in $(seq $PERSONAS); do
	ctl create "p$i" --kernel "$guest" --memory 64M \
		--append "beat=100 hot=1M rate=256K" --start > /dev/null ||
		must "p$i starts" false
done

pids=
for i in $(seq $PERSONAS); do
	pids="$pids $(vmm_of "p$i")"
done
must "each of $PERSONAS has a persona-vmm" \
	test "$(echo $pids | tr ' ' '\n' | sort -u | wc -l)" = $PERSONAS
uids=$(for pid in $pids; do uid_of $pid; done | sort -nu)
must "each runs as a user of its own" \
	test "$(echo "$uids" | wc -l)" = $PERSONAS
must "out of those set aside for personas" \
	test "$(echo "$uids" | head -n 1)" -ge $FIRST_UID

shut_in() {
	local pid=$1 cap
	for cap in CapInh CapPrm CapEff CapAmb; do
		[ "$(status $pid $cap)" = 0000000000000000 ] || {
			echo "# $pid: $cap is $(status $pid $cap)"
			return 1
		}
	done
	[ "$(status $pid NoNewPrivs)" = 1 ] || return 1
	# A build with sanitizers has the filter, too.
	[ "$(status $pid Seccomp)" = 2 ] || return 1
	[ "$(status $pid Groups)" = "" ] || return 1
}
alone() {
	local pid=$1 space
	if grep -q 'gives no' "$work/log"; then
		echo "# $(grep -m 1 'gives no' "$work/log")"
		return 0
	fi
	for space in net mnt ipc uts; do
		[ "$(readlink /proc/$pid/ns/$space)" != \
		    "$(readlink /proc/self/ns/$space)" ] || {
			echo "# $pid shares $space with the host"
			return 1
		}
	done
	[ -z "$(ls -A /proc/$pid/root/)" ] || return 1
	# Two lines of heading and lo, down, without an address.
	[ "$(wc -l < /proc/$pid/net/dev)" = 3 ] &&
		[ "$(wc -l < /proc/$pid/net/fib_trie)" = 0 ]
}
for pid in $pids; do
	must "persona-vmm[$pid] has no capability and cannot get one" shut_in $pid
	must "persona-vmm[$pid] sees no network and no file" alone $pid
done

# What it costs beside the guest's own memory: anonymous memory and its share of
# the programs.
most=0
for pid in $pids; do
	kb=$(sed -n 's/^Pss_\(Anon\|File\):[^0-9]*\([0-9]*\) kB/\2/p' \
		/proc/$pid/smaps_rollup | awk '{ n += $1 } END { print n }')
	[ "$kb" -le $most ] || most=$kb
done
echo "# the most that a persona-vmm holds for itself: $most kB"
# Sanitizers keep shadows of everything.
nm -D "$bin/persona-vmm" | grep -q __asan_init ||
	must "that is less than 5 MiB" test $most -lt 5120

# What personactl says of it.
ctl top --json --delay 1 > "$work/top"
rows() { tr '{' '\n' < "$work/top" | grep '"name"'; }
must "top has a row for each" test "$(rows | wc -l)" = $PERSONAS
must "with processor time, memory held and memory of its own" test "$(rows |
	grep '"cpu_permille": *[1-9]' | grep '"resident_bytes": *[1-9]' |
	grep -c '"private_bytes": *[1-9]')" = $PERSONAS
must "and a table for people" test "$(ctl top --count 1 --delay 1 | wc -l)" = \
	$((PERSONAS + 1))
must "a limit is taken" ctl limit p1 --cpu 150 --memory 128M
must "and shown" test "$(ctl show p1 --json |
	grep -c '"limit_cpu_percent": *150,.*"limit_memory_bytes": *134217728')" = 1
mustnot "not one that no persona could live with" ctl limit p1 --memory 4K \
	2> /dev/null
mustnot "nor one of nothing" ctl limit p1 2> /dev/null
must "limits are lifted" ctl limit p1 --cpu none
must "those that are named" test "$(ctl show p1 --json |
	grep -v limit_cpu | grep -c limit_memory)" = 1
must "a guest can be asked for memory" ctl limit p1 --take-back 16M

kill -9 $daemon
wait $daemon 2>/dev/null
must "another personad starts" start_daemon
found() { [ "$(ctl list --json | grep -o '"running"' | wc -l)" = $PERSONAS ]; }
must "and finds all of them" await 10 found
ctl kill p3 > /dev/null && ctl start p3 > /dev/null
ctl create p9 --kernel "$guest" --memory 64M --start > /dev/null
uids=$(for i in $(seq 9); do uid_of "$(vmm_of "p$i")"; done | sort -nu)
must "nobody gets a user that is taken" test "$(echo "$uids" | wc -l)" = 9

for i in $(seq 9); do
	ctl kill "p$i" > /dev/null
done
[ $failures = 0 ]

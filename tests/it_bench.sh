#!/bin/bash
# SPDX-License-Identifier: ISC
# it_bench: the benchmarks themselves are in order. Each runs in its shortest form,
# ends with 0 and gives figures that can be true; bench-move verifies what it moved,
# leaves nothing behind and puts the scheduler's setting back, also after a Ctrl-C. Knows
# no figure that it would call good: a busy machine's are not.
set -u

bin=$PWD
src=$(cd "${srcdir:-$(dirname "$0")/..}" && pwd)
. "$src/tests/lib/words.sh"

AUTOGROUPS=/proc/sys/kernel/sched_autogroup_enabled
MOVE_SECONDS=240	# a generous deadline; a quiet machine needs ten
ran=
work=$(mktemp -d)
mover=
clean() {
	trap - EXIT INT TERM
	[ -z "$mover" ] || kill "$mover" 2> /dev/null
	[ "$failures" = 0 ] || tail -n 30 "$work"/*.out
	rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

# --- the compiled ones ----------------------------------------------------------------

# quick NAME: run it; its output in $work/NAME.out
quick() {
	timeout 120 "$bin/tests/bench/bench-$1" --quick > "$work/$1.out" 2>&1 < /dev/null
	must "bench-$1 ends well" [ $? = 0 ]
	ran=yes
}

# rows NAME COUNT FIRST FROM TO: so many rows of $work/NAME.out begin like that; their
# speeds are above 0, and what comes out for what goes in lies between.
rows() {
	awk -v first="$3" -v count="$2" -v from="$4" -v to="$5" '
		$1 ~ "^" first "$" && $NF ~ /^[0-9.]+$/ {
			n++
			if ($(NF - 2) <= 0 || $(NF - 1) <= 0 || $NF < from || $NF > to)
				wrong = 1
		}
		END { exit n != count || wrong }' "$work/$1.out" &&
		ok "bench-$1: $3: $2 rows that can be true" ||
		bad "bench-$1: $3: not $2 rows between $4 and $5"
}

quick codec
rows codec 1 zero 0 0.01
rows codec 3 text 0.01 0.9
rows codec 1 random 0.99 1.1
rows codec 2 mixed 0.1 0.9

# Argon2id takes 256 MiB and a second; without them there is no passphrase to measure.
quick file
rows file 2 random 0.99 1.1
rows file 2 text 0.01 0.9
rows file 2 empty 0 0.01
must "bench-file: a passphrase takes time" \
	grep -Eq '^a passphrase: [0-9.]*[1-9][0-9.]* s' "$work/file.out"

quick sync
must "bench-sync: both ends are done" \
	[ "$(grep -c '^\(send\|receive\): the move is complete (0)' "$work/sync.out")" = 2 ]
must "bench-sync: it took time and bytes" \
	grep -Eq '^total [1-9][0-9]* ms, [1-9][0-9]* MB sent' "$work/sync.out"
must "bench-sync: the guest stood still" \
	grep -Eq '^stopped for [0-9.]*[1-9][0-9.]* ms' "$work/sync.out"

# --- bench-move -----------------------------------------------------------------------

autogroups() { cat $AUTOGROUPS 2> /dev/null || echo none; }
autogroups_are() { [ "$(autogroups)" = "$1" ]; }

# Namespaces and directories of beds whose shell is gone, and directories of benchmarks
# and processes of ours.
left_behind() {
	local name pid
	for name in $(ip netns list | cut -d' ' -f1) /tmp/persona-handsets-*; do
		pid=$(sed -n 's/^.*persona-\(handsets-\)\?\([0-9]*\)[-.].*/\2/p' <<< "$name")
		[ -z "$pid" ] || kill -0 "$pid" 2> /dev/null || echo "$name"
	done
	ls -d "$work"/tmp/* 2> /dev/null
	grep -slxzF "IT_BENCH=$$" /proc/[0-9]*/environ
}
new_ones() { comm -13 <(sort <<< "$before") <(left_behind | sort); }
nothing_new() { [ -z "$(new_ones)" ]; }

# move ARGUMENTS...: in the background, its pid in $mover
move() {
	mkdir -p "$work/tmp"
	IT_BENCH=$$ TMPDIR=$work/tmp env --default-signal=INT \
		"$src/tests/bench/bench-move" --build "$bin" --mem 64 --hot 4M \
		--dirty 1M --runs 1 "$@" > "$work/move.out" 2>&1 < /dev/null &
	mover=$!
}
moved() { ! kill -0 $mover 2> /dev/null; }

# Its exit status; one that does not end is killed.
move_end() {
	local r
	await $MOVE_SECONDS moved || kill $mover
	wait $mover
	r=$?
	mover=
	return $r
}

tidy() {
	must "$1: nothing is left behind" await 20 nothing_new
	must "$1: the autogroups are as they were" await 20 autogroups_are "$groups"
	new_ones
}

figures() {
	python3 - "$work/move.json" "$@" <<'END'
import json, sys
runs = json.load(open(sys.argv[1]))["runs"]
assert [r["side"] for r in runs] == sys.argv[2:], "sides: %s" % runs
for r in runs:
    assert "error" not in r, r
    # A quarter of 64 MB is noise; nobody moves it in less, or sends it all thrice.
    assert 16e6 < r["wire_bytes"] < 200e6, r["wire_bytes"]
    assert r["total_s"] > r["wire_bytes"] * 8 / 2 / 200e6, r["total_s"]
    assert 0 < r["blackout_ms"] <= 1000 * r["total_s"] + 2000, r["blackout_ms"]
    assert sum(r["cpu_s"].values()) > 0, r["cpu_s"]
END
}

measure() {
	local sides=persona
	if command -v qemu-system-x86_64 > /dev/null; then
		sides=qemu,persona
	else
		echo "not measured: qemu-system-x86_64 is not installed"
	fi
	move --rates 200 --sides $sides --json "$work/move.json"
	move_end
	must "bench-move ends well" [ $? = 0 ]
	must "each side says verified" \
		[ "$(grep -c ' verified$' "$work/move.out")" = $(wc -w <<< ${sides//,/ }) ]
	must "its JSON holds figures that can be true" figures ${sides//,/ }
	[ "$groups" = none ] || must "its heading speaks of autogroups" \
		grep -q 'autogroups: o' "$work/move.out"
	tidy measured
}

# At a rate that would take long; the first row never comes.
interrupt() {
	move --rates 1 --sides persona
	must "the bed comes up" await 60 grep -q autogroups: "$work/move.out"
	[ "$groups" != 1 ] || [ ! -w $AUTOGROUPS ] ||
		must "the autogroups are off" await 10 autogroups_are 0
	kill -INT $mover
	move_end
	must "a Ctrl-C ends it, with 1" [ $? = 1 ]
	tidy interrupted
}

why_no_move() {
	(
		. "$src/tests/lib/handsets.sh"
		handsets_need
	) || return
	command -v sshd > /dev/null || [ -x /usr/sbin/sshd ] || echo "no sshd"
	"$bin/persona-vmm" --probe > /dev/null 2>&1 || echo "no usable /dev/kvm"
}

lacks=$(why_no_move)
if [ -n "$lacks" ]; then
	echo "bench-move is not run: $lacks"
else
	PATH=$PATH:/usr/sbin:/sbin
	before=$(left_behind)
	groups=$(autogroups)
	measure
	interrupt
	ran=yes
fi

[ -n "$ran" ] || exit 77
[ "$failures" = 0 ]

#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: what keeps a persona encrypted is killed at every odd moment, or runs out of
# room, or is given the wrong words. persona-vault dies while it makes and while it
# opens, gocryptfs while it is started, personad with a vault being made and being
# opened. Each time nothing is half made, and the persona is unlocked afterwards,
# whole. (Invariants 4, 7.)
set -u

. "${srcdir:-$(dirname "$0")/..}/tests/lib/vaults.sh"
vaults_need
vaults_alone "$@"
. "${srcdir:-$(dirname "$0")/..}/tests/lib/daemon.sh"

trap vaults_clean EXIT

vaults=$work/state/vaults
image() { echo "$vaults/$(field "$1" id)/open/$(field "$1" id)"; }
names_are() { [ "$(ctl list --names | tr '\n' ' ')" = "$*${1:+ }" ]; }
one_vault() { [ "$(ls "$vaults" | wc -l)" = 1 ] && empty "$work/state/images"; }
unlock() { ctl unlock p --passphrase-file "$work/right"; }
make_one() {	# make_one NAME OPTION...
	ctl create "$1" --kernel "$guest" --memory 64M \
		--disk-image "$work/source.img" "${@:2}"
}
# A passphrase takes its time, in which persona-vault can be met at work.
slowly="--encrypt=passphrase --passphrase-file $work/right"

# killed PATTERN CMD...: begins CMD and kills -9 what then runs with that command
# line below our state; true when there was somebody to be killed before CMD ended.
killed() {
	local pattern=$1 cmd pid= end=$((SECONDS + 20))
	shift
	"$@" > /dev/null 2>&1 < /dev/null &
	cmd=$!
	while [ -z "$pid" ] && [ $SECONDS -lt $end ] && kill -0 $cmd 2> /dev/null; do
		pid=$(pgrep -f "$pattern $vaults/" | head -n 1)
	done
	[ -n "$pid" ] && kill -9 "$pid" 2> /dev/null || pid=
	wait $cmd
	[ -n "$pid" ]
}
# It takes some tries to be quick enough. What must be true afterwards must be so
# whether it was or not.
hit() {		# hit PATTERN CHECK CMD...
	local pattern=$1 check=$2 i
	shift 2
	hits=0
	for i in 1 2 3 4 5 6 7 8 9 10; do
		killed "$pattern" "$@" && hits=$((hits + 1))
		$check || return 1
		[ $hits = 0 ] || return 0
	done
}
restart() {
	kill -9 "$daemon"
	wait "$daemon" 2> /dev/null
	start_daemon
}

head -c 3000000 /dev/urandom > "$work/source.img"
echo "right passphrase" > "$work/right"
echo "wrong passphrase" > "$work/wrong"
must "personad starts" start_daemon
must "a persona is made" make_one p $slowly
whole() { cmp -s -n 3000000 "$work/source.img" "$(image p)/disk0.img"; }
must "whole" whole

# --- while one is made --------------------------------------------------------------
# It may have been too late: then it is there, and goes again.
none_half_made() {
	ctl show q > /dev/null 2>&1 && ctl delete q --yes > /dev/null
	await 10 one_vault && names_are p
}
must "persona-vault dies while it makes one: nothing is left" \
	hit "persona-vault make" none_half_made make_one q $slowly
[ $hits -gt 0 ] || bad "persona-vault was never met at work"
must "gocryptfs dies while it makes one: nothing is left" \
	hit "gocryptfs .*" none_half_made make_one q --encrypt
[ $hits -gt 0 ] || bad "gocryptfs was never met at work"

make_one q $slowly > /dev/null 2>&1 < /dev/null &
maker=$!
await 20 pgrep -f "persona-vault make $vaults/" > /dev/null
must "personad dies while one is made" restart
wait $maker
must "nothing is left of it" await 20 one_vault
must "no record either" names_are p

# --- while one is opened ------------------------------------------------------------
lock() { ctl lock "${1:-p}" > /dev/null; }
opens_again() {
	unlock > /dev/null && vault_is p open && whole && lock && vault_is p locked
}
must "it is locked" lock
must "persona-vault dies while it opens: it opens again" \
	hit "persona-vault open" opens_again unlock
[ $hits -gt 0 ] || bad "persona-vault was never met at work"

must "one by the handset's key is made" make_one q --encrypt
must "and locked" lock q
q_opens_again() {
	ctl unlock q > /dev/null && vault_is q open && cmp -s -n 3000000 \
		"$work/source.img" "$(image q)/disk0.img" && lock q &&
		vault_is q locked
}
must "gocryptfs dies while it opens: it opens again" \
	hit "gocryptfs .*" q_opens_again ctl unlock q
[ $hits -gt 0 ] || bad "gocryptfs was never met at work"
# Closing is quick: often nobody is met. Either way:
open_and_lock() {
	ctl unlock q && lock q
}
must "persona-vault dies while it locks: it opens again" \
	hit "persona-vault close" q_opens_again open_and_lock
must "it is deleted" ctl delete q --yes
must "with its vault" await 10 one_vault

unlock > /dev/null 2>&1 < /dev/null &
opener=$!
await 20 pgrep -f "persona-vault open $vaults/" > /dev/null
must "personad dies while it opens" restart
wait $opener
must "it opens again" opens_again
must "personad dies while it is locked" restart
must "it is locked" vault_is p locked
must "and opens" opens_again

# --- the wrong words ----------------------------------------------------------------
for i in 1 2 3; do
	says "that is not its passphrase" unlock p --passphrase-file "$work/wrong"
	must "it stays locked" vault_is p locked
done
: > "$work/empty"
says "empty" unlock p --passphrase-file "$work/empty"
ctl list | grep -q "locked" && ok "the list says so" || bad "the list does not: $(ctl list)"
ctl show p | grep -q "locked" && ok "and show" || bad "show does not: $(ctl show p)"
must "three wrong ones do not keep the right one out" unlock
ctl list | grep -q "locked" && bad "the list calls it locked" || ok "the list says nothing"
must "it is whole" whole
must "it is locked" lock

# --- its storage is full ------------------------------------------------------------
must "personad is asked to leave" kill "$daemon"
wait "$daemon"
mv "$work/state" "$work/kept"
mkdir "$work/state"
must "a small storage" mount -t tmpfs -o size=24m,mode=700 tmpfs "$work/state"
cp -a "$work/kept/." "$work/state"
must "personad starts on it" start_daemon
must "a persona that writes" ctl create w --encrypt --kernel "$guest" --memory 64M \
	--append "beat=100 rate=1M hot=4M verify=off disk=64K" --disk 4M --start
must "it runs" await 60 beats w
flushed() {
	local v
	v=$(beat_value "$(last_beat w)" disk_flushed)
	[ -n "$v" ] && [ "$v" -gt "${1:-0}" ]
}
must "and flushes" await 180 flushed
dd if=/dev/zero of="$work/state/fill" bs=4096 2> /dev/null
must "the guest is held until there is room" await 180 state_is w paused
must "and why is told" grep -q "storage of this handset is full" <(ctl show w)
says "full|No space|room" checkpoint w
must "nothing is left of that" empty "$(image w)/checkpoints"
says "full|No space|room" create x --encrypt --kernel "$guest" --memory 64M
rm "$work/state/fill"
must "with room again it is let go on" ctl resume w
must "it beats" await 60 beats w
last=$(beat_value "$(last_beat w)" disk_flushed)
must "and writes on" await 180 flushed "$last"
ctl kill w > /dev/null 2>&1
off() { state_is w stopped || state_is w crashed; }
must "it is off" await 20 off
must "and locked" ctl lock w
must "its neighbour is whole" opens_again
must "it starts again" ctl start w
must "and what it had flushed is there" await 180 flushed
ctl kill w > /dev/null 2>&1
await 20 off

[ $failures = 0 ] && echo "all of it" || echo "$failures failed"
exit $((failures > 0))

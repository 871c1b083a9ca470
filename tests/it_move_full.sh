#!/bin/bash
# SPDX-License-Identifier: ISC
# it_move_full: a persona stands still because the storage of its handset is full to
# the last block. A new personad finds it so, a move that is refused leaves it so, and
# a move to where there is room takes it along, with the write it waits for: its disk,
# alone or over a template, is whole there. (Invariants 1, 2, 8.)
set -u

PERSONA_BIN=$PWD
src=${srcdir:-.}
. "$src/tests/lib/handsets.sh"
. "$src/tests/lib/personas.sh"
. "$src/tests/lib/moves.sh"

leave() {
	umount -l "$(state_dir a)" 2> /dev/null
	handsets_down
}

# Mounted before personad starts, as ip(8) gives each program a mount namespace.
small_disk() {
	mkdir -p "$(state_dir a)"
	mount -t tmpfs -o size=24M,mode=700 persona "$(state_dir a)" ||
		_handsets_lack "tmpfs cannot be mounted here"
}
fill() { dd if=/dev/zero bs=4096 >> "$(state_dir a)/ballast" 2> /dev/null; true; }
is_full() { [ "$(stat -f -c %a "$(state_dir a)")" = 0 ]; }

stands_still() {
	[ "$(state a work)" = paused ] && ctl a show work |
		grep -q 'STANDS STILL .*storage of this handset is full'
}
stood_long() { [ $(($(date +%s%N) - since)) -gt 1500000000 ]; }
still_stands() {	# still_stands WHEN
	stands_still || fail "$1: $(state a work): $(ctl a show work)"
	ok "it stands still $1"
}

start_again() {	# start_again SIDE SIGNAL
	local pid
	pid=$(pids_on "$1" personad)
	kill "-$2" "$pid"
	need_soon 10 "personad on $1 does not end" no_process "$1" personad
	need "personad on $1" daemon_start "$1"
	need_soon 10 "b is not seen again" sees_peer a phone-b
}
restart() {	# restart SIGNAL
	start_again a "$1"
	grep -q 'persona work: found again; it stands still: the storage' \
		"$(handset_dir a)/personad.log" || fail "its log does not say how it was found"
}

# What the guest said on b, in $said, since it was told to say it.
console=
listen_begin() {
	console=$(handset_dir b)/console.out
	: > "$console"
	console_open b work "$console"
}
wrote_on() {
	local n
	n=$(last_beat "$console" disk_written) && [ "${n:-0}" -gt "$1" ]
}
has_looked() { tr -d '\r' < "$console" | grep -q '^disk blocks=.* bad='; }

# Started anew, the guest looks through its disk for all that it had flushed.
disk_whole() {
	local beat flushed written look
	listen_begin
	need_soon 20 "it says nothing on b" last_beat "$console" > /dev/null
	written=$(last_beat "$console" disk_written)
	need_soon 60 "its disk stands still on b" wrote_on $((written + 20))
	beat=$(last_beat "$console")
	console_close
	[ "$(value_of "$beat" disk_bad)" = 0 ] || fail "its disk is wrong on b: $beat"
	flushed=$(value_of "$beat" disk_flushed)
	ctl b kill work > /dev/null || fail "it cannot be killed on b"
	ctl b start work > /dev/null || fail "it cannot be started on b"
	listen_begin
	need_soon 60 "it does not look through its disk" has_looked
	console_close
	look=$(tr -d '\r' < "$console" | grep '^disk blocks=' | tail -n 1)
	[ "$(value_of "$look" found)" -ge "${flushed:-1}" ] &&
		[ "$(value_of "$look" bad)" = 0 ] ||
		fail "the disk on b has lost something: $look, flushed $flushed"
	ok "all that it flushed is on b: $look"
}

words="beat=100 rate=1M hot=4M disk=20M"
guest=$PERSONA_BIN/tests/guest/guest.elf
make_plain() {
	ctl a create work --kernel "$guest" --memory 64M --disk 8M --append "$words"
}
make_layered() {
	truncate -s 8M "$(handset_dir a)/disk"
	"$PERSONA_BIN/personactl" image pack --kernel "$guest" --memory 64M \
		--disk "$(handset_dir a)/disk" --name tpl --cmdline "$words" \
		"$(handset_dir a)/tpl.persona" &&
		ctl a create work --image "$(handset_dir a)/tpl.persona"
}

STORY_BEFORE_DAEMONS=small_disk
story_begin 200mbit
trap leave EXIT

for kind in plain layered; do
	need "a $kind persona" make_$kind > /dev/null
	fill
	truncate -s -2M "$(state_dir a)/ballast"
	need "the $kind persona starts" ctl a start work > /dev/null
	need_soon 60 "it never stands still" stands_still
	since=$(date +%s%N)
	fill
	need "there is room left on a" is_full
	if [ $kind = plain ]; then
		restart KILL
		still_stands "for a new personad"
		need "b's own work" ctl b create work --kernel "$guest" \
			--memory 64M > /dev/null
		ctl_says a 'another persona named work' move work phone-b
		still_stands "when a move was refused"
		need "delete on b" ctl b delete work -y > /dev/null
		ctl a pause work > /dev/null || fail "it cannot be paused"
		ctl_says a 'while it is paused.*resume it first' move work phone-b
		ctl a resume work > /dev/null || fail "it cannot be resumed"
		need_soon 30 "it goes on without room" stands_still
		since=$(date +%s%N)
	else
		restart TERM
		still_stands "for a new personad"
		# b has been switched on, a second ago at most, after it stood still.
		need_soon 5 "time passes" stood_long
		up=$(cut -d. -f1 /proc/uptime)
		DAEMON_UNDER=(unshare --time --monotonic "-$up")
		"${DAEMON_UNDER[@]}" true 2> /dev/null || {
			echo "note: no time namespaces here, b is as old as a"
			DAEMON_UNDER=()
		}
		start_again b TERM
		DAEMON_UNDER=()
	fi
	fill
	need "there is room left on a" is_full
	ctl a move --dry-run work phone-b > "$(move_said a)" 2>&1 ||
		fail "the question: $(cat "$(move_said a)")"
	still_stands "when it was asked about"

	stood_us=$((($(date +%s%N) - since) / 1000))
	result=$(ctl a move work phone-b --json) || fail "the move: $result"
	lives_on b work
	last_n=0
	guest_well b work
	saw_us=$(value_of "$well_beat" max_pause_us)
	[ "${saw_us:-0}" -ge $stood_us ] ||
		fail "it stood still for $stood_us us and its clock saw $saw_us"
	ok "a $kind persona leaves; its clock went on by $((saw_us / 1000)) ms"
	disk_whole
	ctl b kill work > /dev/null
	need "it is deleted on b" ctl b delete work -y > /dev/null
	rm -f "$(state_dir a)/ballast"
	need "it is forgotten on a" ctl a delete work -y > /dev/null
done

#!/bin/bash
# SPDX-License-Identifier: ISC
# it_saved: a running persona is checkpointed and stands still for only a moment;
# it is suspended and goes on where it was; it goes back to a checkpoint, memory and
# disk of one instant; whatever is killed in the middle, what was good is there
# afterwards and nothing half-made. (Invariants 2, 3, 4, 8.)
set -u

PERSONA_BIN=$PWD
src=${srcdir:-.}
. "$src/tests/lib/handsets.sh"
. "$src/tests/lib/personas.sh"
. "$src/tests/lib/moves.sh"

# The n of its last heartbeat.
beats() {
	local file
	file=$(handset_dir a)/beats.out
	: > "$file"
	console_open a work "$file"
	await 20 last_beat "$file" > /dev/null || fail "work is silent"
	console_close
	last_beat "$file" n
}

image() { echo "$(state_dir a)/images/$(ctl a show work --json | field id)"; }

nothing_half_made() {
	[ -z "$(find "$(state_dir a)/images" -name '*.new' -o -name 'incoming-*' \
		-o -name 'old-*')" ] || fail "$1: something half-made is left:" \
		"$(find "$(state_dir a)/images")"
}

checkpoint() {
	ctl a checkpoint work --json "$@" | number checkpoint
}

# Kill the process of ours as soon as it is there.
kill_soon() {	# kill_soon PROGRAM [WORD]
	local pid
	for _ in $(seq 200); do
		pid=$(pids_on a "$@")
		[ -n "$pid" ] && kill -9 $pid && return 0
		sleep 0.02
	done
	return 1
}

exec 2> /dev/null
story_begin 200mbit
persona_make a work 256M "hot=8M rate=4M beat=100"
[ "$(state a work)" = running ] || fail "it does not run"

n=$(checkpoint --label "before all") || fail "no checkpoint was made"
[ "$n" = 1 ] || fail "the first checkpoint is number $n"
guest_well a work
ctl a checkpoints work | grep -q "before all" || fail "it is not in the list"
pause_ns=$(ctl a checkpoint work --json | number pause_ns)
[ "$pause_ns" -gt 0 ] || fail "a checkpoint without a pause is not of one instant"
guest_well a work
ok "checkpoints; the last one stood still for $((pause_ns / 1000)) us"

ctl_says a 'running' restore work 1 --yes
before=$(beats)
asked=${EPOCHREALTIME/./}
need "suspend" ctl a suspend work
asleep=${EPOCHREALTIME/./}
[ "$(state a work)" = suspended ] || fail "it is $(state a work), not suspended"
need "a persona-vmm is left" no_process a persona-vmm
nothing_half_made suspend
ctl_says a 'suspended' move work phone-b
awake=${EPOCHREALTIME/./}
need "start after a suspend" ctl a start work
after=$(beats)
[ "$after" -gt "$before" ] || fail "it began anew: beat $before, then $after"
guest_well a work
# The guest's own clock went on by the time it slept: no less, no more.
saw_us=$(value_of "$well_beat" max_pause_us)
[ "$saw_us" -ge $((awake - asleep)) ] &&
	[ "$saw_us" -le $((${EPOCHREALTIME/./} - asked)) ] ||
	fail "asleep for $((awake - asleep)) us, its clock went on by $saw_us us"
[ -e "$(image)/suspended" ] && fail "what was suspended could be used twice"
ok "suspended and resumed at beat $before, went on with $after"

need "suspend" ctl a suspend work
daemon_pid=$DAEMON_PID_a
kill -9 "$daemon_pid"
need "personad again" daemon_start a
[ "$(state a work)" = suspended ] || fail "after a restart it is $(state a work)"
need "start" ctl a resume work
guest_well a work
ok "a suspend outlives personad"

need "stop" ctl a stop work
need "restore" ctl a restore work 1 --yes
[ "$(state a work)" = suspended ] || fail "restored, it is $(state a work)"
nothing_half_made restore
need "start from the checkpoint" ctl a start work
now=$(beats)
[ "$now" -lt "$after" ] || fail "beat $now is not from before beat $after"
last_n=0
guest_well a work
ctl a checkpoints work | grep -q "before all" || fail "the checkpoint is used up"
ok "back at the first checkpoint, at beat $now"

# However far a start from suspended memory has got, that memory or the guest is left:
# the kill comes when the machine is made, before or after its state is loaded.
log=$(handset_dir a)/personad.log
machines() { grep -c 'persona-vmm.* vCPUs' "$log"; }
for _ in $(seq 4); do
	need "suspend" ctl a suspend work
	before=$(machines)
	ctl_exec a start work > /dev/null 2>&1 &
	asked=$!
	end=$((SECONDS + 10))
	until [ "$(machines)" -gt "$before" ]; do
		[ $SECONDS -lt $end ] || fail "no machine was made"
	done
	kill -9 "$DAEMON_PID_a"
	wait $asked
	need "personad again" daemon_start a
	case $(state a work) in
	suspended) need "start" ctl a start work ;;
	running) ;;
	*) fail "a start that was cut short leaves work $(state a work)" ;;
	esac
	guest_well a work
done
ok "personad killed in the middle of a start from suspended memory"

# A running persona as a file; what is imported goes on from that instant.
file=$(handset_dir a)/work.persona
need "export of a running persona" ctl a export work "$file" --plain
ctl a checkpoints work | grep -q "in passing" && fail "the passing checkpoint is left"
guest_well a work
need "import" ctl a import "$file" --name twin
[ "$(state a twin)" = suspended ] || fail "imported, it is $(state a twin)"
need "start of what was imported" ctl a start twin
last_n=0
guest_well a twin
need "kill" ctl a kill twin
rm -f "$file"
need "export of a checkpoint" ctl a export work "$file" --checkpoint 1 --plain
[ -s "$file" ] || fail "the file of the checkpoint is empty"
ok "a running persona and a checkpoint exported, the former imported and running"

# A byte of the checkpoint is not what it was.
need "stop" ctl a stop work
memory=$(image)/checkpoints/1/memory
at=$(($(stat -c %s "$memory") / 2))
printf 'X' | dd of="$memory" bs=1 seek=$at conv=notrunc
printf 'Y' | dd of="$memory" bs=1 seek=$((at + 4096)) conv=notrunc
ctl_says a 'damaged' restore work 1 --yes
[ "$(state a work)" = stopped ] || fail "a damaged checkpoint: $(state a work)"
nothing_half_made "a damaged checkpoint"
ok "a damaged checkpoint is refused and changes nothing"

need "start" ctl a start work
last_n=0
guest_well a work

# Kills in the middle.
# The kill may come when the checkpoint is whole already: then once more.
for _ in $(seq 10); do
	ctl_exec a checkpoint work > /dev/null 2>&1 &
	asked=$!
	kill_soon persona-sync save
	wait $asked || { asked=; break; }
	nothing_half_made "the worker was killed late"
done
[ -z "$asked" ] || fail "no checkpoint was ever without its worker"
nothing_half_made "the worker was killed"
guest_well a work
ok "the worker of a checkpoint killed: it runs on"

ctl_exec a suspend work > /dev/null 2>&1 &
asked=$!
for _ in $(seq 200); do
	[ -n "$(pids_on a persona-sync save)" ] && break
	sleep 0.01
done
kill -9 "$DAEMON_PID_a"
wait $asked
need "personad again" daemon_start a
need_soon 10 "it does not run again" eval '[ "$(state a work)" = running ] ||
	[ "$(state a work)" = suspended ]'
[ "$(state a work)" = suspended ] && ctl a start work
guest_well a work
nothing_half_made "personad was killed in a suspend"
ok "personad killed in the middle of a suspend: it is there"

ctl_exec a checkpoint work > /dev/null 2>&1 &
asked=$!
for _ in $(seq 200); do
	[ -n "$(pids_on a persona-sync save)" ] && break
	sleep 0.01
done
kill -INT $asked
wait $asked
need_soon 10 "it does not run again" eval '[ "$(state a work)" = running ]'
nothing_half_made "Ctrl-C"
guest_well a work
ok "Ctrl-C in the middle of a checkpoint"

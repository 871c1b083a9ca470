#!/bin/bash
# SPDX-License-Identifier: ISC
# it_groups: what a persona takes of the handset counts as its own: persona-net is in
# its control group, and so is persona-sync while it fills the memory of one that
# arrives, which has its limits only from then on.
set -u

PERSONA_BIN=$PWD
src=${srcdir:-.}
. "$src/tests/lib/handsets.sh"
. "$src/tests/lib/personas.sh"
. "$src/tests/lib/moves.sh"

# The control group (v2) of a process.
group_of() { sed -n 's/^0:://p' "/proc/$1/cgroup" 2> /dev/null; }
vmm_of() { ctl "$1" show work --json | number vmm_pid; }
# The only process of ours there by that name.
only() { pids_on "$1" "$2" "${3:-}" | head -n 1; }
together() {	# together SIDE PROGRAM [WORD]: in one group with its persona-vmm
	local one two
	one=$(group_of "$(only "$1" persona-vmm)")
	two=$(group_of "$(only "$1" "$2" "${3:-}")")
	[ -n "$one" ] && [ "$one" = "$two" ]
}
limit_of() {	# limit_of PID FILE
	local mount
	mount=$(sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \([^ ]*\) .* - cgroup2 .*/\1/p' \
		/proc/self/mountinfo | head -n 1)
	cat "$mount$(group_of "$1")/$2" 2> /dev/null
}
limited() { [ "$(limit_of "$(only b persona-vmm)" memory.max)" != max ]; }

# A handset's namespace hides the control groups; its personad gets them back.
DAEMON_UNDER=(sh -c 'mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec "$@"' sh)
story_begin 100mbit
need "a persona with a card and a limit" ctl a create work \
	--kernel "$PERSONA_BIN/tests/guest/guest.elf" --memory 64M --net \
	--append "hot=32M rate=2M beat=100 fill=noise" --start --limit-memory 32M \
	--limit-cpu 90
case $(group_of "$(only a persona-vmm)") in
*/persona/*) ;;
*)
	echo "SKIP: it_groups: no control groups here that we may make"
	exit 77
	;;
esac
ctl a show work | grep -q '^limit .*90 %' || fail "show: $(ctl a show work)"
ctl_says a "8 MiB" create x --limit-memory 1M \
	--kernel "$PERSONA_BIN/tests/guest/guest.elf"
ok "create takes limits"

need_soon 10 "persona-net is not in the persona's group" together a persona-net
old=$(only a persona-net)
kill -9 "$old"
new_net() { [ -n "$(only a persona-net)" ] && [ "$(only a persona-net)" != "$old" ]; }
need_soon 20 "no other persona-net" new_net
need_soon 10 "the new persona-net is not in its group" together a persona-net
ok "persona-net counts as the persona's, also one that was started again"

move_begin a work phone-b --bandwidth 2M
need_soon 30 "no page flows" move_copying a work
need "persona-sync does not count as the arriving persona's" \
	together b persona-sync receive
! together a persona-sync send || fail "the sender counts as the persona's"
# Where the machine's groups have the controller.
if [ -n "$(limit_of "$(only b persona-vmm)" memory.max)" ]; then
	[ "$(limit_of "$(only b persona-vmm)" memory.max)" = max ] ||
		fail "a limit binds the process that fills its memory"
fi
ok "what fills the memory of an arriving persona counts as its own"
need "cancel" ctl a cancel work
move_ended
need_soon 20 "something stays on b" no_process b persona-vmm

need "a move to the end" ctl a move work phone-b > "$(move_said a)" 2>&1
need_soon 20 "persona-sync stays" no_process b persona-sync
need_soon 10 "persona-net is not in its group on b" together b persona-net
if [ -n "$(limit_of "$(only b persona-vmm)" memory.max)" ]; then
	need_soon 10 "its limit is not in force on b" limited
	held=$(ctl b top --json | number group_bytes)
	[ "$held" -gt $((24 << 20)) ] ||
		fail "its memory is charged to somebody else: $held bytes are its"
	ok "its limit is in force, and $held bytes count as its own"
else
	echo "the groups of this machine do not count memory: that was not looked at"
fi
guest_well b work
ok "all"

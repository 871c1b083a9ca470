#!/bin/bash
# SPDX-License-Identifier: ISC
# it_vault_target: an encrypted persona moves to a handset that cannot encrypt, or
# whose personad is killed in the middle; and a policy demands encryption of one
# that lies in the clear. It runs on where it is, the reason is told, nothing of it
# is left on the other, and once nothing is in the way it moves. (Invariants 2, 4.)
set -u

PERSONA_BIN=$PWD
src=${srcdir:-.}
. "$src/tests/lib/vaults.sh"
vaults_need
. "$src/tests/lib/handsets.sh"
. "$src/tests/lib/personas.sh"
. "$src/tests/lib/moves.sh"

vault_is() { [ "$(ctl "$1" show "$2" --json | field vault)" = "$3" ]; }
nothing_stored() {
	[ -z "$(ls "$(state_dir "$1")/vaults" "$(state_dir "$1")/images" |
		grep -v :)" ]
}
# personad on b begins anew; what DAEMON_UNDER says holds for it alone.
b_again() {
	need_soon 10 "personad on b does not end" no_process b personad
	need "personad on b" daemon_start b
	need_soon 20 "b is not seen again" sees_peer a phone-b
}
refused() {	# refused WHAT PATTERN PERSONA
	move_begin a "$3" phone-b
	move_ended && fail "$1: it moved"
	grep -Eq "$2" "$(move_said a)" ||
		fail "$1: not /$2/: $(tail -n 1 "$(move_said a)")"
	lives_on a "$3"
	need_soon 20 "$1: something is left on b" nothing_stored b
	guest_well a "$3"
	ok "$1: $(tail -n 1 "$(move_said a)" | field message)"
}

story_begin none
made=$(handset_dir a)/made
mkdir -p "$made"
head -c 1000000 /dev/urandom > "$made/disk"
truncate -s 4M "$made/disk"
: > "$made/not-a-device"
create() {
	ctl a create "$@" --start > /dev/null || fail "$* does not start on a"
	last_n=0
	guest_well a work
}
create work --encrypt --kernel "$PERSONA_BIN/tests/guest/guest.elf" --memory 64M \
	--append "hot=2M rate=1M beat=100" --disk-image "$made/disk"

# --- it cannot encrypt ----------------------------------------------------------------
kill "$(pids_on b personad)"
DAEMON_UNDER=(bash -c 'mount --bind "$0" /dev/fuse && exec "$@"' "$made/not-a-device")
b_again
refused "a target without /dev/fuse" "must be kept encrypted.*/dev/fuse" work
kill "$(pids_on b personad)"
DAEMON_UNDER=()
b_again

# --- it dies --------------------------------------------------------------------------
link_rate 2mbit
move_begin a work phone-b
need_soon 30 "no page flows" move_copying a work
kill -9 "$(pids_on b personad)"
move_ended && fail "it moved to a handset whose personad is dead"
link_rate none
b_again
need_soon 20 "its vault is left on b" nothing_stored b
lives_on a work
guest_well a work
ok "a target whose personad is killed: it runs on, and nothing is left there"

move_begin a work phone-b
need "then it moves" move_ended
lives_on b work
guest_well b work
need "into an open vault" vault_is b work open
ok "and moves when nothing is in the way"
ctl b kill work > /dev/null 2>&1
off() { [ "$(state b work)" = stopped ] || [ "$(state b work)" = crashed ]; }
need_soon 20 "work does not end on b" off
need "forgotten on b" ctl b delete work --yes
need "and on a" ctl a delete work --yes

# --- a policy that demands it ------------------------------------------------------------
"$PERSONA_BIN/personactl" policy keygen "$made/issuer" > /dev/null ||
	fail "no issuer's key"
for serial in 1 2; do
	printf '%s\n' "issuer Example Corp" "serial $serial" "move anyone" \
		"export yes" "standby yes" \
		"encrypt $([ $serial = 1 ] && echo no || echo yes)" \
		"expires never" > "$made/rules"
	"$PERSONA_BIN/personactl" policy sign --key "$made/issuer" "$made/rules" \
		"$made/$serial.policy" || fail "no policy"
done
"$PERSONA_BIN/personactl" image pack --kernel "$PERSONA_BIN/tests/guest/guest.elf" \
	--disk "$made/disk" --name corp --memory 64M \
	--cmdline "hot=2M rate=1M beat=100" --policy "$made/1.policy" \
	"$made/corp.persona" > /dev/null || fail "no template"
create work --image "$made/corp.persona"
need "a newer policy" ctl a policy set work "$made/2.policy"
refused "a policy, and it lies in the clear" \
	"Example Corp demands that its stored image is encrypted" work
ctl a kill work > /dev/null 2>&1
need "deleted" ctl a delete work --yes
create work --image corp --encrypt
need "its newer policy" ctl a policy set work "$made/2.policy"
move_begin a work phone-b
need "encrypted, it moves" move_ended
lives_on b work
guest_well b work
need "into an open vault" vault_is b work open
ok "encrypted, it may move, and is there"

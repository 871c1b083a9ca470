#!/bin/bash
# SPDX-License-Identifier: ISC
# it_vault_move: a persona that is encrypted at rest moves, and is encrypted where it
# has come to, by that handset's own key; it comes back into the vault that it left,
# and is refused while that is locked with a passphrase, running on where it is. A
# move that is cancelled leaves no vault. (Invariants 2, 3.)
set -u

PERSONA_BIN=$PWD
src=${srcdir:-.}
. "$src/tests/lib/vaults.sh"
vaults_need
. "$src/tests/lib/handsets.sh"
. "$src/tests/lib/personas.sh"
. "$src/tests/lib/moves.sh"

secret=KNOWN-STRING-THAT-MUST-NOT-BE-FOUND
shown() { ctl "$1" show "$2" --json | field "$3"; }
vault_is() { [ "$(shown "$1" "$2" vault)" = "$3" ]; }
found() { grep -rqa $secret "$(state_dir "$1")"; }
vaults() { ls "$(state_dir "$1")/vaults" | wc -l; }
no_vault() { [ "$(vaults "$1")" = 0 ]; }
is_off() { [ "$(state "$1" "$2")" = stopped ] || [ "$(state "$1" "$2")" = crashed ]; }
off() {
	ctl "$1" stop "$2" > /dev/null 2>&1 || ctl "$1" kill "$2" > /dev/null 2>&1
	need_soon 20 "$2 does not stop on $1" is_off "$1" "$2"
}

story_begin none
work=$(handset_dir a)/made
mkdir -p "$work"
cp "$PERSONA_BIN/tests/guest/guest.elf" "$work/kernel"
{ head -c 700000 /dev/urandom; echo $secret; head -c 700000 /dev/urandom; } \
	> "$work/disk"
echo "a passphrase" > "$work/passphrase"
make() {	# make NAME OPTION...
	local name=$1
	shift
	ctl a create "$name" --kernel "$work/kernel" --memory 64M \
		--append "hot=2M rate=1M beat=100" --disk-image "$work/disk" \
		--start "$@" > /dev/null || fail "$name does not start on a"
	last_n=0
	guest_well a "$name"
}
make work --encrypt

link_rate 2mbit
move_begin a work phone-b
need_soon 30 "no page flows" move_copying a work
ctl a cancel work > /dev/null || fail "cannot be cancelled"
move_ended && fail "a cancelled move says that it went well"
need_soon 20 "a cancelled move leaves a vault on b" no_vault b
link_rate none
guest_well a work
ok "a move that is cancelled leaves no vault"

move_begin a work phone-b
need "the move to b" move_ended
lives_on b work
guest_well b work
need "it is in an open vault on b" vault_is b work open
[ ! -e "$(state_dir b)/images/$(shown b work id)" ] || fail "beside it, too"
need "lock on a" ctl a lock work
off b work
need "lock on b" ctl b lock work
found a && fail "a holds what its disk held, to be read"
found b && fail "b holds what its disk held, to be read"
cmp -s "$(state_dir a)/vault.key" "$(state_dir b)/vault.key" &&
	fail "two handsets have one key"
ok "it arrived encrypted, by the key of the other handset"

need "start on b" ctl b start work
last_n=0
guest_well b work
move_begin b work phone-a
need "the way back" move_ended
lives_on a work
guest_well a work
[ "$(vaults a)" = 1 ] || fail "$(vaults a) vaults on a"
ok "it is back in the vault that it had left"

off a work
make other --encrypt=passphrase --passphrase-file "$work/passphrase"
move_begin a other phone-b
need "other moves to b" move_ended
lives_on b other
need "lock of what was left" ctl a lock other
move_begin b other phone-a
move_ended && fail "it moved into a vault that nobody opened"
grep -q "locked with a passphrase" "$(move_said b)" ||
	fail "no word of the passphrase: $(tail -n 2 "$(move_said b)")"
lives_on b other
ok "it does not come back while a passphrase keeps its place locked"
ctl a unlock other --passphrase-file "$work/passphrase" > /dev/null ||
	fail "it cannot be unlocked"
move_begin b other phone-a
need "other comes back" move_ended
lives_on a other
last_n=0
guest_well a other
ok "and does when it is open"

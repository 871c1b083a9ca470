#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: a persona that is encrypted at rest. What its disk holds is nowhere in what
# is stored; it runs, is exported and comes back as any other; a wrong passphrase, a
# handset key that is gone, a lost mount, kill -9 of personad and of what decrypts,
# and full storage are errors with a name; nothing is ever written beside the vault.
# (Invariants 4, 7, 8.)
set -u

. "${srcdir:-$(dirname "$0")/..}/tests/lib/vaults.sh"
vaults_need
vaults_alone "$@"
. "${srcdir:-$(dirname "$0")/..}/tests/lib/daemon.sh"

trap vaults_clean EXIT

secret=KNOWN-STRING-THAT-MUST-NOT-BE-FOUND
vault() { echo "$work/state/vaults/$(field "$1" id)"; }
image() { echo "$(vault "$1")/open/$(field "$1" id)"; }
mounted() { grep -q " $1/open " /proc/self/mountinfo; }
found() { grep -rqa "$1" "$work/state"; }
served_by() { pgrep -f "gocryptfs -fg .* $1/cipher $1/open"; }

head -c 3000000 /dev/urandom > "$work/source.img"
for i in 1 2 3 4 5; do
	echo $secret$i | dd of="$work/source.img" bs=1 seek=$((i * 333333)) \
		conv=notrunc 2>/dev/null
done
echo "right passphrase" > "$work/right"
echo "wrong passphrase" > "$work/wrong"
must "personad starts" start_daemon

# --- by the handset's key --------------------------------------------------------------
must "one is made encrypted" ctl create d --encrypt --kernel "$guest" --memory 64M \
	--append "beat=100 rate=1M hot=4M verify=off disk=2M" \
	--disk 1M --disk-image "$work/source.img"
must "it says so" vault_is d open
must "its image is whole" cmp -n 3000000 "$work/source.img" "$(image d)/disk1.img"
mustnot "nothing lies beside the vault" test -e "$work/state/images/$(field d id)"
must "it is locked" ctl lock d
must "and says so" vault_is d locked
mustnot "not mounted" mounted "$(vault d)"
[ "$(stat -c %a "$work/state/vault.key")" = 600 ] && ok "the key is for us alone" ||
	bad "the key has mode $(stat -c %a "$work/state/vault.key")"
mustnot "what its disk holds is nowhere in what is stored" found $secret
must "the vault is not what has no content" \
	[ "$(du -k "$(vault d)/cipher" | tail -n 1 | cut -f1)" -gt 2900 ]

must "a start opens it" ctl start d
must "it runs from it" await 60 beats d
disk_flushed() {
	local v
	v=$(beat_value "$(last_beat d)" disk_flushed)
	[ -n "$v" ] && [ "$v" -ge 8 ]
}
must "and writes and flushes" await 180 disk_flushed
says "not possible while it is running|in use" lock d

# --- kill -9 of personad ----------------------------------------------------------------
kill -9 "$daemon"
wait "$daemon" 2>/dev/null
half=$work/state/vaults/0123456789abcdef0123456789abcdef
mkdir -p "$half/cipher" "$half/open"
must "a new personad starts" start_daemon
must "it finds it running" state_is d running
must "from an open vault" vault_is d open
must "and it goes on" beats d
swept() { [ ! -e "$half" ]; }
must "a half-made vault is removed" await 10 swept

# --- what decrypts it dies ----------------------------------------------------------------
pid=$(served_by "$(vault d)")
[ -n "$pid" ] && kill -9 "$pid"
must "its death is seen" await 10 vault_is d lost
must "personad goes on" ctl list
ctl kill d > /dev/null 2>&1
stopped() { state_is d stopped || state_is d crashed; }
must "what ran on it is ended" await 10 stopped
must "it opens and starts again" ctl start d
must "and runs" await 60 beats d
ctl stop d > /dev/null 2>&1 || ctl kill d > /dev/null 2>&1
must "it stops" await 20 stopped

# --- a mount that somebody takes away --------------------------------------------------------
umount "$(vault d)/open"
must "it counts as locked" vault_is d locked
must "and opens again by itself" ctl export d "$work/d.persona" --plain
must "nothing was written underneath" sh -c \
	"umount '$(vault d)/open' && [ -z \"\$(ls -A '$(vault d)/open')\" ]"
must "the file came from within" grep -qa $secret "$work/d.persona"

# --- a file of it becomes a persona that is encrypted here too -----------------------------
must "it is imported" ctl import "$work/d.persona" --name again
must "into a vault" vault_is again open
must "whole" cmp -n 3000000 "$work/source.img" "$(image again)/disk1.img"
rm "$work/d.persona"
must "that is locked" ctl lock again
mustnot "and hides it" found $secret
gone_with=$(vault again)
must "it is deleted" ctl delete again --yes
removed() { [ ! -e "$gone_with" ]; }
must "with its vault" await 10 removed
must "an open one too" ctl create brief --encrypt --kernel "$guest" --memory 64M
gone_with=$(vault brief)
must "is deleted" ctl delete brief --yes
must "with its vault and its mount" await 10 removed
mustnot "no mount is left" mounted "$gone_with"

# --- by a passphrase --------------------------------------------------------------------------
says "no terminal" create p --encrypt=passphrase --kernel "$guest" --memory 64M
says "handset or passphrase" create p --encrypt=magic --kernel "$guest" --memory 64M
must "one is made with a passphrase" ctl create p --encrypt=passphrase \
	--passphrase-file "$work/right" --kernel "$guest" --memory 64M \
	--append "beat=100 rate=1M hot=4M verify=off" --disk-image "$work/source.img"
must "and locked" ctl lock p
mustnot "nothing of it is to be read" found $secret
says "passphrase" export p "$work/p.persona" --plain
[ ! -e "$work/p.persona" ] && ok "and no file is made" || bad "a file is made"
says "not its passphrase" start p --passphrase-file "$work/wrong"
must "it stays locked" vault_is p locked
says "no terminal" start p
must "the right one starts it" ctl start p --passphrase-file "$work/right"
must "and it runs" await 60 beats p
pid=$(served_by "$(vault p)")
mustnot "what serves it was not told on its command line" \
	grep -qa "right passphrase" "/proc/$pid/cmdline" "/proc/$pid/environ"
ctl stop p > /dev/null 2>&1 || ctl kill p > /dev/null 2>&1
p_stopped() { state_is p stopped || state_is p crashed; }
must "it stops" await 20 p_stopped
must "it is locked again" ctl lock p
mustnot "nor did the log" grep -q "right passphrase" "$work/log"

# --- what is saved of it -------------------------------------------------------------------
must "it starts" ctl start p --passphrase-file "$work/right"
must "and runs" await 60 beats p
must "it is checkpointed" ctl checkpoint p
n=$(beat_value "$(last_beat p)" n)
must "and suspended" ctl suspend p
must "and locked" ctl lock p
mustnot "neither is to be read" found $secret
kill -9 "$daemon"
wait "$daemon" 2>/dev/null
must "a new personad starts" start_daemon
must "unlocked, it is seen" ctl unlock p --passphrase-file "$work/right"
must "to be suspended" state_is p suspended
must "it goes on" ctl start p
must "and says so" await 60 beats p
must "from where it was" [ "$(beat_value "$(last_beat p)" n)" -gt "$n" ]
ctl kill p > /dev/null 2>&1
must "it is killed" await 20 p_stopped
must "it goes back" ctl restore p 1 --yes
must "and starts" ctl start p
must "and runs" await 60 beats p
ctl kill p > /dev/null 2>&1
await 20 p_stopped

# --- without the key --------------------------------------------------------------------------
mv "$work/state/vault.key" "$work/vault.key"
head -c 32 /dev/urandom > "$work/state/vault.key"
chmod 600 "$work/state/vault.key"
says "another vault key" start d
chmod 644 "$work/state/vault.key"
says "can be read by others" start d
mv "$work/vault.key" "$work/state/vault.key"
must "with it, it starts" ctl start d
ctl stop d > /dev/null 2>&1 || ctl kill d > /dev/null 2>&1
must "and stops" await 20 stopped

# --- a damaged block ----------------------------------------------------------------------------
must "locked once more" ctl lock d
for file in $(find "$(vault d)/cipher" -type f -size +2M); do
	printf 'XXXX' | dd of="$file" bs=1 seek=1000000 conv=notrunc 2>/dev/null
done
says "error|damaged|cannot" export d "$work/d.persona" --plain
[ ! -e "$work/d.persona" ] && ok "a changed block ends an export" ||
	bad "a changed block went into a file"

# --- full storage --------------------------------------------------------------------------------
must "personad is asked to leave" kill "$daemon"
wait "$daemon"
vaults_unmount
await 10 sh -c "! pgrep -f 'gocryptfs.*$work' > /dev/null"
rm -rf "$work/state"
mkdir "$work/state"
chmod 700 "$work/state"
mount -t tmpfs -o size=4m,mode=700 tmpfs "$work/state"
must "personad starts with 4 MiB" start_daemon
head -c 8000000 /dev/urandom > "$work/large.img"
says "No space|full" create big --encrypt --kernel "$guest" --memory 64M \
	--disk-image "$work/large.img"
nothing() { empty "$work/state/vaults" && empty "$work/state/images"; }
must "nothing is left of it" await 10 nothing
must "a small one still goes" ctl create small --encrypt --kernel "$guest" --memory 64M
must "and is deleted" ctl delete small --yes

[ $failures = 0 ] && echo "all of it" || echo "$failures failed"
exit $((failures > 0))

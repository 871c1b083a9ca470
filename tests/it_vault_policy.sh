#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: a policy that demands encryption at rest is kept wherever its persona is
# stored: made of a template, imported, exported, and given a newer policy while it
# lies in the clear. Where this machine cannot encrypt, nothing is made, and the
# refusal says what is missing. (Invariant 4.)
set -u

. "${srcdir:-$(dirname "$0")/..}/tests/lib/vaults.sh"
vaults_need
vaults_alone "$@"
. "${srcdir:-$(dirname "$0")/..}/tests/lib/daemon.sh"

trap vaults_clean EXIT

secret=KNOWN-STRING-THAT-MUST-NOT-BE-FOUND
in_the_clear() { grep -rqa $secret "$work/state/images" "$work/state/vaults"/*/cipher; }
personas() { ctl list --names | wc -l; }

# sign NAME SERIAL yes|no: a policy that demands encryption, or does not
"$bin/personactl" policy keygen "$work/issuer" > /dev/null || exit 1
sign() {
	printf '%s\n' "issuer Example Corp" "serial $2" "move anyone" \
		"export yes" "standby yes" "encrypt $3" "expires never" \
		> "$work/$1.txt"
	"$bin/personactl" policy sign --key "$work/issuer" "$work/$1.txt" \
		"$work/$1.policy"
}
pack() {
	"$bin/personactl" image pack --kernel "$guest" --disk "$work/disk" \
		--name "$1" --memory 64M --cmdline "beat=100 rate=1M hot=2M" \
		--policy "$work/$1.policy" "$work/$1.persona"
}
truncate -s 4M "$work/disk"
{ head -c 300000 /dev/urandom; echo $secret; head -c 300000 /dev/urandom; } |
	dd of="$work/disk" conv=notrunc status=none
echo "a passphrase" > "$work/passphrase"
must "a policy is signed that demands encryption" sign strict 5 yes
must "and one that does not" sign lax 3 no
must "and a newer one that does" sign later 4 yes
must "a template has the first" pack strict
must "another the second" pack lax
must "personad starts" start_daemon

# --- on a machine that cannot ------------------------------------------------------
: > "$work/not-a-device"
must "/dev/fuse is taken away" mount --bind "$work/not-a-device" /dev/fuse
says "cannot be kept encrypted: /dev/fuse" create --image "$work/strict.persona" dora
says "cannot be kept encrypted: /dev/fuse" create eve --encrypt --kernel "$guest" \
	--memory 64M
says "must be kept encrypted: /dev/fuse" import "$work/strict.persona" --name dora
ctl doctor | grep -q "no persona can be kept encrypted: /dev/fuse" &&
	ok "the doctor says so" || bad "the doctor does not say so"
[ "$(personas)" = 0 ] && empty "$work/state/vaults" && empty "$work/state/images" &&
	ok "nothing is made" || bad "something is left: $(ls "$work"/state/*)"
must "a persona that need not be encrypted is made all the same" \
	ctl create --image "$work/lax.persona" plain
umount /dev/fuse

# --- it is made encrypted without being asked to -------------------------------------
must "a persona is made of the template" ctl create --image strict --start dora
must "in a vault" vault_is dora open
must "and runs" await 60 beats dora
ctl show dora
must "another by a passphrase" ctl create --image strict --encrypt=passphrase \
	--passphrase-file "$work/passphrase" fay
[ "$(field fay vault_passphrase)" = true ] && ok "and not by the handset's key" ||
	bad "fay is not opened by a passphrase"
must "a template file is imported as a persona" ctl import "$work/strict.persona" \
	--name gus
must "in a vault" vault_is gus open
must "it is locked" ctl lock gus
mustnot "what its disk holds is nowhere in the clear" in_the_clear
says "already|there is" import "$work/strict.persona" --name gus

# --- it leaves encrypted -------------------------------------------------------------
ctl kill dora > /dev/null 2>&1
off() { state_is "$1" stopped || state_is "$1" crashed; }
must "it is off" await 20 off dora
says "Example Corp demands that it is encrypted" export dora "$work/out.persona" --plain
[ ! -e "$work/out.persona" ] && ok "no file in the clear is made" ||
	bad "the refused export left a file"
must "a file with a passphrase is made" ctl export dora "$work/out.persona" \
	--passphrase-file "$work/passphrase"
mustnot "which hides it" grep -qa $secret "$work/out.persona"
must "and becomes a persona" ctl import "$work/out.persona" --name hal \
	--passphrase-file "$work/passphrase"
must "in a vault" vault_is hal open
must "that runs" ctl start hal
must "and beats" await 60 beats hal

# --- a newer policy finds it in the clear ---------------------------------------------
must "one without a vault starts" ctl start plain
must "and runs" await 60 beats plain
mustnot "it has none" vault_is plain open
must "its issuer demands encryption now" ctl policy set plain "$work/later.policy"
must "what runs runs on" beats plain
ctl kill plain > /dev/null 2>&1
must "it is off" await 20 off plain
says "export it to an encrypted file" start plain
says "demands that it is encrypted" export plain "$work/plain.persona" --plain
must "that way out is open" ctl export plain "$work/plain.persona" \
	--passphrase-file "$work/passphrase"
must "to the end" ctl import "$work/plain.persona" --name kept \
	--passphrase-file "$work/passphrase"
must "it is in a vault" vault_is kept open
must "and starts" ctl start kept
must "and runs" await 60 beats kept
must "the old one is deleted" ctl delete plain --yes
for name in kept hal; do
	ctl kill $name > /dev/null 2>&1
	await 20 off $name
done

[ $failures = 0 ] && echo "all of it" || echo "$failures failed"
exit $((failures > 0))

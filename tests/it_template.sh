#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: a template file with a signed policy becomes two personas that share its
# blocks and boot files; what its issuer forbids is refused, with a reason; damaged
# files leave nothing; a template in use is not removed. Invariants 4, 7.
set -u

kvm=optional
. "${srcdir:-$(dirname "$0")/..}/tests/lib/daemon.sh"

blocks() { stat -c %b "$1"; }

# --- an issuer's templates ---------------------------------------------------

must "an issuer's key is made" "$bin/personactl" policy keygen "$work/issuer" \
	> /dev/null
daemon_options=(-o issuer="$(cat "$work/issuer.pub")")
must "and another's" "$bin/personactl" policy keygen "$work/stranger" > /dev/null

# rules SERIAL EXPORT ENCRYPT EXPIRES > TEXT
rules() {
	printf 'issuer Example Corp\nserial %s\nmove anyone\nexport %s\n' "$1" "$2"
	printf 'standby yes\nencrypt %s\nexpires %s\n' "$3" "$4"
}
sign() {	# sign KEY NAME RULES...
	local key=$1 name=$2
	shift 2
	rules "$@" > "$work/$name.txt"
	"$bin/personactl" policy sign --key "$work/$key" "$work/$name.txt" \
		"$work/$name.policy"
}
must "a policy is signed" sign issuer strict 1 no no never
must "one that has expired" sign issuer expired 1 yes no 2020-01-01
must "a newer one" sign issuer renewed 2 yes no never
must "one of somebody else" sign stranger foreign 3 yes no never
refused "half of the rules" "encrypt is missing" "$bin/personactl" policy sign \
	--key "$work/issuer" <(rules 1 yes no never | grep -v encrypt) "$work/half"

# 32 MiB of which 8 hold something.
truncate -s 32M "$work/disk"
head -c 8M /dev/urandom | dd of="$work/disk" bs=1M seek=4 conv=notrunc status=none
pack() {	# pack NAME POLICY FILE
	"$bin/personactl" image pack --kernel "$guest" --disk "$work/disk" \
		--name "$1" --memory 64M --cmdline "beat=100 rate=1M hot=8M" \
		${2:+--policy "$work/$2.policy"} "$3"
}
must "a template is packed" pack work strict "$work/work.persona"
size=$(stat -c %s "$work/work.persona")
[ "$size" -lt $((10 << 20)) ] && ok "its holes cost nothing: $size bytes" ||
	bad "the file has $size bytes"
refused "packing over a file that is there" "there already" \
	pack work strict "$work/work.persona"

# --- two personas over one ----------------------------------------------------

must "personad starts" start_daemon
must "a persona is made of the file" ctl create --image "$work/work.persona" ada
must "another of the template that is here now" ctl create --image work bob
ctl image list
must "the list says that two lie over it" \
	sh -c "'$bin/personactl' -S '$runtime/control.sock' image list --json |
	grep -q '\"personas\": *2'"

root=$(ls "$work/state/templates")
base=$work/state/templates/$root
for name in ada bob; do
	image=$work/state/images/$(field $name id)
	own=$(blocks "$image/disk0.img")
	[ "$(stat -c %s "$image/disk0.img")" = $((32 << 20)) ] &&
		[ "$own" -le 8 ] && ok "$name's disk has $own blocks of its own" ||
		bad "$name's disk has $own blocks"
	[ "$image/kernel" -ef "$base/kernel" ] || bad "$name's kernel is a copy"
done
shared=$(blocks "$base/disk0.img")
[ "$shared" -ge 16384 ] && [ "$shared" -lt 20000 ] &&
	ok "they share $shared blocks" || bad "the template has $shared blocks"
cmp -s "$work/disk" "$base/disk0.img" && ok "the disk is what was packed" ||
	bad "the template's disk is not what was packed"
[ "$(field ada id)" != "$(field bob id)" ] || bad "they have one id"
[ "$(field ada ram_bytes)" = $((64 << 20)) ] || bad "not the template's memory"

# --- what the issuer says ----------------------------------------------------------

ctl show ada
[ "$(field ada issuer)" = "Example Corp" ] && [ "$(field ada trusted)" = true ] &&
	ok "show names the issuer, who is trusted here" || bad "show: $(ctl show ada)"
refused "an export" "Example Corp allows no export" \
	ctl export ada --plain "$work/ada.persona"
[ ! -e "$work/ada.persona" ] || bad "the refused export left a file"
refused "another issuer's policy" "another key" \
	ctl policy set ada "$work/foreign.policy"
must "the issuer's newer one" ctl policy set ada "$work/renewed.policy"
refused "the older one again" "serial" ctl policy set ada "$work/strict.policy"
must "now it may be exported" ctl export ada --plain "$work/ada.persona"
refused "bob still may not" "allows no export" \
	ctl export bob --plain "$work/bob.persona"

must "a template whose policy has expired" pack old expired "$work/old.persona"
must "may be kept" ctl create --image "$work/old.persona" carl
refused "but not started" "expired" ctl start carl
must "until its issuer renews it" ctl policy set carl "$work/renewed.policy"
must "a template of an unknown issuer" pack foreign foreign "$work/foreign.persona"
must "is taken" ctl create --image "$work/foreign.persona" emil
[ "$(field emil trusted)" = false ] && ok "and shown as not trusted" ||
	bad "an unknown issuer is trusted"

# A bit of the policy itself, or of anything else.
damage() {	# damage OFFSET
	cp "$work/work.persona" "$work/damaged.persona"
	printf '\377' | dd of="$work/damaged.persona" bs=1 seek="$1" conv=notrunc \
		status=none
}
damage 300
refused "a damaged manifest" "cannot be used" \
	ctl create --image "$work/damaged.persona" fred
damage $((size - 100000))
refused "a damaged disk" "cannot be used" \
	ctl create --image "$work/damaged.persona" fred
refused "half a file" "cannot be used" \
	ctl create --image <(head -c 1000000 "$work/work.persona") fred
refused "no template at all" "cannot be used" ctl create --image "$guest" fred
refused "an exported persona" "no template" \
	ctl create --image "$work/ada.persona" fred
must "a template for another processor is packed" "$bin/personactl" image pack \
	--kernel "$guest" --name phone --arch arm64 "$work/arm64.persona"
grep -qa armv8-a "$work/arm64.persona" && ! grep -qa x86-64 "$work/arm64.persona" &&
	ok "it asks for processors of its own kind" || bad "it names others' processors"
templates=$(ls "$work/state/templates")
images=$(ls "$work/state/images")
refused "it is no persona's here" "made for arm64; this handset is" \
	ctl create --image "$work/arm64.persona" fred
refused "nor is it imported" "made for arm64; this handset is" \
	ctl import "$work/arm64.persona" --name fred
[ "$(ls "$work/state/templates")" = "$templates" ] &&
	[ "$(ls "$work/state/images")" = "$images" ] &&
	ok "and nothing of it is left" || bad "a refused template left something"
refused "a template that is not here" "no template" ctl create --image none fred
ls "$work/state/templates" "$work/state/images" | grep -q '\.new$' &&
	bad "something half-made is left"

# --- they run, each on its own ------------------------------------------------------

if [ -n "$kvm" ]; then
	for name in ada bob; do
		must "$name starts" ctl start $name
	done
	[ "$(blocks "$work/state/images/$(field ada id)/disk0.img")" -le 8 ] ||
		bad "running took blocks"
	for name in ada bob; do
		ctl kill $name
	done
else
	echo "no KVM here: they were not started"
fi

# --- removing -------------------------------------------------------------------------

refused "removing a template in use" "2 persona" ctl image remove work
must "a persona goes" ctl delete ada --yes
must "the other goes" ctl delete bob --yes
must "then the template may" ctl image remove work
[ ! -e "$base" ] || bad "the template is still there"

mkdir "$work/state/templates/$(printf '%032d' 0).new"
kill "$daemon"
wait "$daemon"
must "personad starts again" start_daemon
ls "$work/state/templates" | grep -q '\.new$' && bad "left-overs stay" ||
	ok "left-overs are swept"

[ $failures = 0 ] && echo "ok: all"
exit $((failures > 0))

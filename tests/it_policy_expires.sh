#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: a persona runs when its policy expires. Its owner had notice, it is suspended
# with all it had in memory, and it goes on from there once its issuer has renewed the
# policy. Without room for the suspend it stays paused, and nobody can resume it.
set -u

. "${srcdir:-.}/tests/lib/daemon.sh" || exit 99

must "an issuer's key is made" "$bin/personactl" policy keygen "$work/issuer" \
	> /dev/null

# sign SERIAL EXPIRES
sign() {
	printf 'issuer Example Corp\nserial %s\nmove anyone\nexport yes\n' "$1" \
		> "$work/text"
	printf 'standby yes\nencrypt no\nexpires %s\n' "$2" >> "$work/text"
	"$bin/personactl" policy sign --key "$work/issuer" "$work/text" \
		"$work/$1.policy"
}
# The instant that is $1 seconds from now.
instant() { date -u -d "@$(($(date +%s) + $1))" +%Y-%m-%dT%H:%M:%SZ; }
says() { ctl "${@:2}" 2>&1 | grep -q "$1"; }
logged() { grep -q "$1" "$work/log"; }
# The guest's own account of its memory; it counts on from where it was.
beat_no() { beat_value "$(last_beat work)" n; }

must "a policy is signed" sign 1 never
must "a template is packed" "$bin/personactl" image pack --kernel "$guest" \
	--name work --memory 64M --cmdline "beat=100 rate=1M hot=8M" \
	--policy "$work/1.policy" "$work/work.persona"
must "personad starts" start_daemon
must "a persona is made and started" ctl create --image "$work/work.persona" \
	--start work
must "it lives" await 30 beats work
mustnot "a policy that never ends gives no notice" says expires list

# --- its time comes ------------------------------------------------------------

must "the issuer renews it for a while" sign 2 "$(instant 30)"
must "the persona gets it" ctl policy set work "$work/2.policy"
must "its owner has notice in the list" says "work: its policy expires in" list
must "and in show" says "NOTICE .*ask its issuer Example Corp" show work
must "and the log has it" await 5 logged "persona work: its policy expires in"
must "it runs on until then" state_is work running
before=$(beat_no)
must "then it is suspended" await 60 state_is work suspended
[ "$(date +%s)" -ge "$(date -u -d "$(sed -n 's/^expires //p' "$work/text")" +%s)" ] &&
	ok "not before its time" || bad "suspended too early"
must "show says why" says "was suspended: its policy has expired" show work
mustnot "it does not start" ctl start work
must "and says why not" says "policy has expired; ask its issuer" start work
mustnot "nor is it exported" ctl export work --plain "$work/out.persona"
must "the issuer renews it" sign 3 never
must "which a suspended persona takes" ctl policy set work "$work/3.policy"
must "it goes on" ctl start work
must "and lives" await 30 beats work
after=$(beat_no)
[ "${after:-0}" -gt "${before:-0}" ] && ok "where it was: beat $before, $after" ||
	bad "it counts $after after $before: it was booted anew"

# --- when it cannot be saved ---------------------------------------------------------

# What is in the way stands for a full disk; it works without the right to mount one.
obstacle=$work/state/images/$(field work id)/suspended.new
touch "$obstacle"
must "the issuer's next policy" sign 4 "$(instant 8)"
must "is in force" ctl policy set work "$work/4.policy"
must "where its memory cannot be saved it is paused" await 60 state_is work paused
must "and the log says so" await 10 logged "persona work: stays paused, it cannot"
mustnot "nobody resumes it" ctl resume work
must "for its policy has expired" says "policy has expired" resume work
rm -f "$obstacle"
must "renewed" sign 5 never
must "it may" ctl policy set work "$work/5.policy"
must "be resumed" ctl resume work
must "and lives" await 30 beats work

# --- a personad that was away ---------------------------------------------------------

must "the last policy" sign 6 "$(instant 3)"
must "is given" ctl policy set work "$work/6.policy"
kill "$daemon"
wait "$daemon"
must "its time comes while no personad runs" await 10 \
	sh -c "[ \$(date +%s) -gt $(($(date +%s) + 4)) ]"
must "a new one" start_daemon
must "suspends it then" await 60 state_is work suspended

[ $failures = 0 ] && echo "ok: all"
exit $((failures > 0))

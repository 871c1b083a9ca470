#!/bin/bash
# SPDX-License-Identifier: ISC
# it_avahi_hangs: an avahi-daemon that hangs, rather than dies, holds up nobody but
# those who want to know who is near: personad starts and answers beside one, says
# what is the matter, and sees its peers when it goes on. So too when the process
# that asks Avahi is killed.
set -u

PERSONA_BIN=$PWD
src=${srcdir:-.}
. "$src/tests/lib/handsets.sh"
. "$src/tests/lib/personas.sh"
handsets_need

trap handsets_down EXIT
trap 'exit 130' INT TERM

ok() { echo "ok: $*"; }
fail() {
	echo "FAIL: $*"
	sed 's/^/  a: /' "$(handset_dir a)/personad.log"
	exit 1
}

# The one process on a with this name.
pid_of() {
	local pid
	for pid in $(handset_pids a); do
		[ "$(cat "/proc/$pid/comm" 2> /dev/null)" = "$1" ] && echo "$pid"
	done | head -n 1
}

# Each of them answers at once, again and again for SECONDS.
answers_for() {
	local end=$((SECONDS + $1)) begin
	while [ $SECONDS -lt $end ]; do
		begin=$(date +%s%N)
		ctl a list > /dev/null || fail "personactl list: no answer"
		ctl a peers > /dev/null || fail "personactl peers: no answer"
		[ $((($(date +%s%N) - begin) / 1000000)) -lt \
			$((4000 * ${PERSONA_SLOW:-1})) ] ||
			fail "two answers took more than 4 s"
		sleep 0.2
	done
}

says() { grep -q "$1" "$(handset_dir a)/personad.log"; }

handsets_up none || { echo "FAIL: no handsets"; exit 1; }
avahi=$(pid_of avahi-daemon)
[ -n "$avahi" ] || fail "no avahi-daemon on a"
daemon_start b || fail "personad on b does not answer"

kill -STOP "$avahi"
daemon_start a || fail "personad does not start beside an Avahi that hangs"
answers_for 3
await 20 says "the daemon does not answer" || fail "that Avahi hangs is not said"
answers_for 2
ok "personad starts and answers beside an avahi-daemon that hangs"
kill -CONT "$avahi"
await 60 sees_peer a phone-b || fail "b is not seen when Avahi goes on"
ok "and sees its peers when that goes on"

announced() { grep -c 'announced as' "$(handset_dir a)/personad.log"; }
announced_again() { [ "$(announced)" -gt "$n" ]; }
await 60 says 'announced as' || fail "a is not announced"
n=$(announced)
kill -STOP "$avahi"
answers_for 2
kill -9 "$(pid_of persona-mdns)"
answers_for 3
kill -CONT "$avahi"
await 60 says "persona-mdns ended" || fail "a killed persona-mdns is not said"
await 60 announced_again || fail "a is not announced again"
await 60 sees_peer a phone-b || fail "b is not seen by another persona-mdns"
mdns=$(pid_of persona-mdns)
[ -n "$mdns" ] || fail "there is no persona-mdns"
grep -q '^Seccomp:.*2$' "/proc/$mdns/status" &&
	grep -q '^CapEff:.*\s0*$' "/proc/$mdns/status" ||
	fail "it has not given up its privileges: $(cat "/proc/$mdns/status")"
says 'ended by its sandbox' && fail "its sandbox has ended it"
ok "and so with another persona-mdns after the first was killed"

kill -9 "$DAEMON_PID_a"
await 10 sh -c "! kill -0 $mdns 2> /dev/null" ||
	fail "persona-mdns outlives personad"
ok "it ends with personad"

#!/bin/bash
# SPDX-License-Identifier: ISC
# it_net_persona: personad and its personas' networks. Each running persona with a
# card has a persona-net; it is replaced when it dies, survives personad, goes with
# the persona; forwards open, change, wait for a taken port, and move along.
set -u

PERSONA_BIN=$PWD
src=${srcdir:-.}
. "$src/tests/lib/handsets.sh"
. "$src/tests/lib/personas.sh"
. "$src/tests/lib/moves.sh"

net_json() { ctl "$1" show "$2" --json; }
net_pid() { net_json "$1" "$2" | grep -o '"net": *{.*' | number pid; }
has_net() { [ -n "$(net_pid "$1" "$2")" ] && [ "$(net_pid "$1" "$2")" != 0 ]; }
is_new() { has_net "$1" "$2" && [ "$(net_pid "$1" "$2")" != "$3" ]; }
gone() { ! kill -0 "$1" 2> /dev/null; }
listens() {	# listens SIDE PORT: somebody accepts there
	handset "$1" python3 -c 'import socket,sys
socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2)' "$2" 2> /dev/null
}
deaf() { ! listens "$@"; }
shows() { net_json "$1" "$2" | grep -q "$3"; }

command -v python3 > /dev/null || { echo "SKIP: it_net_persona: no python3"; exit 77; }
story_begin none

need "create --forward" ctl a create work --kernel "$PERSONA_BIN/tests/guest/guest.elf" \
	--memory 64M --append "hot=1M rate=1M beat=100" --start \
	--forward 8022:22 --forward udp:0.0.0.0:8053:53
need_soon 5 "no persona-net" has_net a work
pid=$(net_pid a work)
need "another name" grep -qx persona-net "/proc/$pid/comm"
need_soon 5 "the forward is not open" listens a 8022
# Whoever knocks there makes persona-net ask for the guest on its cable.
counts() {
	[ "$(ctl a top --json --count 2 --delay 1 | tail -n 1 | number net_in_bytes)" -gt 0 ]
}
need_soon 30 "top counts no bytes over the card" counts
need "top shows them" sh -c "'$PERSONA_BIN/personactl' -S '$(control_socket a)' \
	top | grep -q 'NET IN'"
need "show names the forward" shows a work '"forward": *"udp:0.0.0.0:8053:53"'
ctl a show work | grep -q '^forward  *127.0.0.1:8022:22$' ||
	fail "show: $(ctl a show work)"
mac=$(net_json a work | field mac)
case $mac in ?[26ae]:??:??:??:??:??) ;; *) fail "a MAC of $mac" ;; esac
ok "a persona with a card has a persona-net, its forwards and a MAC of its own"

ctl_says a 'leads in already' create x --kernel /dev/null --forward 1:1 --forward 1:2
ctl_says a 'udp:0.0.0.0' create x --kernel /dev/null --forward udp:53:53
ctl_says a '1 to 65535' set work --forward 70000:1
ok "what is no forward is refused, with the way out"

kill -9 "$pid"
need_soon 10 "no other persona-net" is_new a work "$pid"
need_soon 5 "the forward is not open again" listens a 8022
need "it ran on" [ "$(state a work)" = running ]
ok "a persona-net that dies is replaced; the persona runs on"

pid=$(net_pid a work)
handset_start a taken python3 -c 'import socket,time
s = socket.create_server(("127.0.0.1", 8023)); time.sleep(600)'
taken=$!
need_soon 5 "the port is not taken" listens a 8023
need "set" ctl a set work --forward 8023:23 --forward 8024:24
need_soon 5 "the new forward is not open" listens a 8024
need_soon 5 "the old forward is still open" deaf a 8022
need_soon 5 "no warning about a taken port" shows a work '"error": *"Address already'
ctl a show work | grep -q '8023:23  WARNING: not open' || fail "show does not warn"
kill "$taken"
need_soon 15 "the port was not tried again" eval "! shows a work Address"
need "listening now" listens a 8023
[ "$(net_pid a work)" = "$pid" ] || fail "persona-net did not live on"
ok "forwards change while it runs; a taken port is told and tried again"

kill -9 "$DAEMON_PID_a"
wait "$DAEMON_PID_a" 2> /dev/null
need "it left with personad" kill -0 "$pid"
need "personad starts again" daemon_start a
need_soon 10 "not found again" has_net a work
[ "$(net_pid a work)" = "$pid" ] || fail "a restarted personad has another"
need "the forward was lost" listens a 8024
need "set after a restart" ctl a set work --no-forwards
need_soon 5 "a forward stays open" deaf a 8024
need "set back" ctl a set work --forward 8024:24
ok "a restarted personad finds persona-net again"

need "pairing was kept" await 10 sees_peer a phone-b
for way in 'a b' 'b a'; do
	set -- $way
	pid=$(net_pid "$1" work)
	ctl "$1" move work "phone-$2" > "$(handset_dir "$1")/move.out" 2>&1 ||
		fail "move to $2"
	need_soon 5 "no persona-net on $2" has_net "$2" work
	need_soon 5 "persona-net stays on $1" gone "$pid"
	need_soon 10 "the forward did not move along" listens "$2" 8024
	need_soon 5 "the forward stays behind" deaf "$1" 8024
	[ "$(net_json "$2" work | field mac)" = "$mac" ] || fail "another MAC"
done
ok "network card, MAC and forwards move along, there and back"

pid=$(net_pid a work)
ctl a kill work || fail "kill"
need_soon 5 "persona-net stays" gone "$pid"
need "a card that is not in it" ctl a create plain \
	--kernel "$PERSONA_BIN/tests/guest/guest.elf" --memory 64M --start
! shows a plain '"net"' || fail "a card nobody wished for"
ctl_says a 'without a network card' set plain --forward 1:1
ok "without --net there is no card and no persona-net"
ok "all"

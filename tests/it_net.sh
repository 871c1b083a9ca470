#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: persona-net alone, with Linux's own network stack as its guest: DHCP, DNS,
# TCP and UDP out, forwards in, IPv6; the handset's local services are out of reach;
# it holds no privileges and leaves with its cable.
set -u

src=${srcdir:-$(dirname "$0")/..}/tests
build=$PWD
PATH=$PATH:/usr/sbin:/sbin

skip() {
	echo "SKIP: it_net: $*"
	exit 77
}

[ "$(id -u)" = 0 ] || skip "network namespaces and TAP devices need root"
[ -c /dev/net/tun ] || skip "no /dev/net/tun"
for tool in ip python3 busybox; do
	command -v $tool > /dev/null || skip "$tool is not installed"
done

work=$(mktemp -d)
out=pnet-out-$$ guest=pnet-in-$$
pids=
cleanup() {
	# Also what a shell of ours has run there in the background.
	for pid in $pids $(ip netns pids $out; ip netns pids $guest); do
		kill "$pid" 2> /dev/null
	done 2> /dev/null
	ip netns del $out 2> /dev/null
	ip netns del $guest 2> /dev/null
	rm -rf "$work" /etc/netns/$out /etc/netns/$guest
	rmdir /etc/netns 2> /dev/null
}
trap cleanup EXIT
trap 'exit 1' INT TERM

ok() { echo "ok: $*"; }
fail() {
	echo "FAIL: $*"
	tail -n 20 "$work"/*.log 2> /dev/null
	exit 1
}
await() {	# await SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@" > /dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}
outside() { ip netns exec $out "$@"; }
inside() { ip netns exec $guest "$@"; }
serve() {	# serve WHERE ARGS...: run a server there until the end
	local where=$1
	shift
	$where python3 "$src/lib/netplay.py" "$@" > "$work/serve-$*.log" 2>&1 &
	pids="$pids $!"
	await 10 grep -q ready "$work/serve-$*.log" || fail "server $*"
}
ask() { inside python3 "$src/lib/netplay.py" "$@"; }

# --- the handset, with a network beyond it, and the guest's side -----------------
ip netns add $out && ip netns add $guest || skip "no network namespaces"
mkdir -p /etc/netns/$out /etc/netns/$guest
echo 'nameserver 192.0.2.1' > /etc/netns/$out/resolv.conf
echo 'nameserver 10.0.2.3' > /etc/netns/$guest/resolv.conf
outside ip link set lo up
outside ip link add far type veth peer name near || skip "no veth"
outside ip address add 192.0.2.1/24 dev far
outside ip address add 2001:db8::1/64 dev far nodad
outside ip link set far up
outside ip link set near up
serve outside serve 192.0.2.1 7000
serve outside serve 2001:db8::1 7000
serve outside serve 127.0.0.1 7001
serve outside serve ::1 7001
serve outside names 192.0.2.1

cat > "$work/bound" <<'END'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip address replace $ip/$mask dev $interface
ip route replace default via $router
END
chmod +x "$work/bound"

start() {	# start OPTIONS...: persona-net, and the guest's card with an address
	# "ip netns exec" for a resolv.conf of its own, too.
	ip netns exec $guest "$build/tests/nettap" tap0 ip netns exec $out \
		"$build/persona-net" --frame-fd 3 "$@" > "$work/net.log" 2>&1 &
	tap=$!
	pids="$pids $tap"
	await 5 inside ip link show tap0 || fail "no TAP device"
	inside ip link set lo up
	inside ip link set tap0 up
	inside busybox udhcpc -i tap0 -n -q -s "$work/bound" \
		> "$work/udhcpc.log" 2>&1 || fail "no DHCP answer"
	net=$(pgrep -P $tap)
}
stop() {
	kill $tap
	await 3 gone "$net" || fail "persona-net stays without its cable"
}
gone() { ! kill -0 "$1" 2> /dev/null; }

start --forward 8022:22 --forward udp:192.0.2.1:8053:5353
inside ip -4 address show tap0 | grep -q 'inet 10.0.2.15/' ||
	fail "DHCP gave another address"
ok "DHCP gives 10.0.2.15"

for field in 'NoNewPrivs:	1' 'Seccomp:	2' 'CapEff:	0000000000000000' \
    'CapBnd:	0000000000000000'; do
	grep -q "^$field" /proc/"$net"/status ||
		fail "privileges: $(grep -E "^${field%%:*}" /proc/"$net"/status)"
done
ok "persona-net has no capabilities and a filter"

[ "$(ask ask 192.0.2.1 7000)" = echo ] || fail "TCP"
[ "$(ask ask-udp 192.0.2.1 7000)" = echo ] || fail "UDP"
ok "TCP and UDP to the network beyond"

inside busybox nslookup persona.example 10.0.2.3 > "$work/nslookup.log" 2>&1 &&
	grep -q 192.0.2.1 "$work/nslookup.log" || fail "DNS: $(cat "$work/nslookup.log")"
ok "DNS by the handset's resolv.conf"

await 10 eval "inside ip -6 address show tap0 | grep -q 'inet6 fd00:7065:'" ||
	fail "no IPv6 address"
[ "$(ask ask 2001:db8::1 7000)" = echo ] || fail "TCP over IPv6"
ok "IPv6: an address by router advertisement, and TCP"

for addr in 10.0.2.2 10.0.2.3 fd00:7065:7273:6f6e::2 fd00:7065:7273:6f6e::3; do
	[ "$(ask ask $addr 7001)" != echo ] ||
		fail "a local service is reached at $addr"
	[ "$(ask ask-udp $addr 7001)" != echo ] ||
		fail "a local service is reached at $addr by UDP"
done
ok "the handset's local services are out of reach"

serve inside serve 10.0.2.15 22
serve inside serve 10.0.2.15 5353
[ "$(outside python3 "$src/lib/netplay.py" ask 127.0.0.1 8022)" = echo ] ||
	fail "forward in"
[ "$(outside python3 "$src/lib/netplay.py" ask-udp 192.0.2.1 8053)" = echo ] ||
	fail "UDP forward in"
[ "$(outside python3 "$src/lib/netplay.py" ask 192.0.2.1 8022)" != echo ] ||
	fail "a forward is open to the network unasked"
ok "forwards lead in, from the handset itself alone"

got=$(ask load 192.0.2.1 7000 64)
[ "${got%% *}" = same ] || fail "64 MB: $got"
ok "64 MB through and back: $got"
stop
ok "it leaves with its cable"

start --host-loopback
[ "$(ask ask 10.0.2.2 7001)" = echo ] || fail "--host-loopback"
ok "--host-loopback opens the local services at 10.0.2.2"
stop
ok "all"

#!/bin/bash
# SPDX-License-Identifier: ISC
# it_discovery: two handsets, each with a D-Bus and an Avahi of its own, find each
# other and lose each other again: by a cut link (with and without Avahi's help),
# a daemon that dies and comes back, a second link, a name that is taken, a peer
# killed. discwatch says what the discovery library reports.
set -u

bin=$PWD
src=${srcdir:-.}
. "$src/tests/lib/handsets.sh"
handsets_need

FP_A=SHA256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
FP_B=SHA256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
FP_C=SHA256:ccccccccccccccccccccccccccccccccccccccccccc
failures=0

trap handsets_down EXIT
trap 'exit 130' INT TERM

fail() {
	echo "FAIL: $*"
	sed 's/^/  a: /' "$(handset_dir a)/watch.log"
	failures=$((failures + 1))
}

lines() { wc -l < "$(handset_dir a)/watch.log"; }

# heard SECONDS SINCE PATTERN: a reported it after its line SINCE
heard() {
	local end=$((SECONDS + $1))
	until tail -n +$(($2 + 1)) "$(handset_dir a)/watch.log" 2>&1 |
	    grep -Eq "$3"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

# expect WHAT SECONDS SINCE PATTERN
expect() {
	if heard "$2" "$3" "$4"; then
		echo "ok: $1"
	else
		fail "$1: /$4/ did not come within $2 s"
	fi
}

# An Avahi on both interfaces of a handset; $2: use-iff-running.
start_avahi() {
	local dir
	dir=$(handset_dir "$1")
	cat > "$dir/avahi.conf" <<-END
	[server]
	host-name=handset-$1
	allow-interfaces=w0,u0
	use-iff-running=$2
	[wide-area]
	enable-wide-area=no
	[publish]
	publish-workstation=no
	publish-hinfo=no
	END
	handset_start "$1" avahi unshare --mount --propagation private sh -c "
		mount --bind '$dir/run' /run/avahi-daemon &&
		exec avahi-daemon --file='$dir/avahi.conf' --no-drop-root \
			--no-chroot --no-rlimits"
	eval "avahi_$1=$!"
}

watch() {	# SIDE LOG NAME FINGERPRINT [STATIC...]
	local side=$1 log=$2
	shift 2
	handset_start "$side" "$log" "$bin/tests/discwatch" "$@"
}

mkdir -p /run/avahi-daemon
handsets_up none bare || { echo "FAIL: no handsets"; exit 1; }
for side in a b; do
	_handsets_bus $side || { echo "FAIL: no bus"; exit 1; }
done

# No avahi-daemon yet: said once, and waited for. The configured peer is there.
watch a watch phone-a $FP_A 7001 bench 192.0.2.7 7009
expect "a configured peer is there at once" 5 0 \
	'^appeared bench - v0 192.0.2.7,7009,$'
expect "a missing avahi-daemon is said" 5 0 'problem avahi: avahi-daemon'
start_avahi a yes
expect "announced once avahi-daemon is there" 10 0 'note avahi: announced'

start_avahi b yes
n=$(lines)
watch b watch phone-b $FP_B 7002
expect "b appears" 5 $n "^appeared phone-b $FP_B v1 .*,7002,w0"
expect "by IPv6 as well" 5 $n " fe80::[^ ]*%w0,7002,w0"

n=$(lines)
link_cut b
expect "b vanishes when the link is cut" 3 $n "^vanished phone-b"
n=$(lines)
link_mend
expect "b is back when it is mended" 8 $n "^appeared phone-b"

# A second link: one peer, more addresses; losing one link loses no peer.
ip link add u0 netns "$(_handsets_ns a)" type veth \
	peer name u0 netns "$(_handsets_ns b)"
ip -n "$(_handsets_ns a)" addr add 10.77.0.1/24 dev u0
ip -n "$(_handsets_ns b)" addr add 10.77.0.2/24 dev u0
n=$(lines)
ip -n "$(_handsets_ns a)" link set u0 up
ip -n "$(_handsets_ns b)" link set u0 up
expect "b is seen on the second link too" 8 $n \
	"^changed phone-b .*10.77.0.2,7002,u0"
n=$(lines)
link_cut b
expect "the other link remains" 5 $n "^changed phone-b [^w]*,u0\$"
! heard 1 $n '^vanished phone-b' || fail "b vanished though one link remains"
n=$(lines)
link_mend
expect "both links again" 8 $n "^changed phone-b .*,w0"

# a's own avahi-daemon dies: nothing changes if it is back soon.
n=$(lines)
kill -9 "$avahi_a"
expect "the death of avahi-daemon is said" 5 $n 'problem avahi: '
rm -f "$(handset_dir a)"/run/*
start_avahi a no
expect "announced again" 15 $n 'note avahi: announced'
! heard 1 $n '^vanished phone-b' || fail "b vanished with our own avahi-daemon"
# (it may be off the list only when the time is over that it is believed)
n=$(lines)
if heard 11 $n '^vanished phone-b'; then
	fail "b was not seen again by the new avahi-daemon"
else
	echo "ok: b is still there after avahi-daemon's restart"
fi

# Two handsets of one name are two peers; the service gets another instance name.
n=$(lines)
watch b other phone-b $FP_C 7003
other=$!
expect "a second phone-b appears beside the first" 10 $n \
	"^(appeared|changed) phone-b $FP_C v1 .*,7003,"
grep -q 'announced as "phone-b #2"' "$(handset_dir b)/other.log" ||
	fail "the taken name was not announced as another"

# A program that is killed takes its announcement with it, and only that.
n=$(lines)
kill -9 $other
expect "a killed peer vanishes" 10 $n "^vanished phone-b $FP_C"
! heard 1 $n "^vanished phone-b $FP_B" || fail "the other one went with it"

# b's avahi-daemon dies without a word and comes back: b announces itself anew.
n=$(grep -c announced "$(handset_dir b)/watch.log")
kill -9 "$avahi_b"
rm -f "$(handset_dir b)"/run/*
start_avahi b no
_handsets_await 15 sh -c "[ \$(grep -c announced \
	'$(handset_dir b)/watch.log') -gt $n ]" ||
	fail "b did not announce itself again"

# use-iff-running=no, as Debian has it: our own eye on the links is enough.
n=$(lines)
link_cut b
ip -n "$(_handsets_ns b)" link set u0 down
expect "a cut link is noticed without Avahi's help" 3 $n \
	"^vanished phone-b $FP_B"
n=$(lines)
link_mend
ip -n "$(_handsets_ns b)" link set u0 up
expect "and its return" 8 $n "^appeared phone-b $FP_B"

# We never report ourselves.
! grep -q "appeared phone-a" "$(handset_dir a)/watch.log" ||
	fail "a sees itself"
[ $failures = 0 ]

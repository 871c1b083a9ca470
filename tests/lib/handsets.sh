# SPDX-License-Identifier: ISC
# Two handsets on one machine: network namespaces a and b with a link of a given
# rate between them, each with a D-Bus and an Avahi of its own. To be sourced by
# bash. Knows nothing of persona: what runs on a handset is the caller's affair.
#
#   handsets_need                 exit 77 with a reason if this machine cannot
#   handsets_up [RATE [bare]]     make them; bare: no D-Bus, no Avahi
#   handset a CMD...              run CMD on handset a, in the foreground
#   handset_exec a CMD...         the same in place of the calling shell
#   handset_start a NAME CMD...   the same in the background; its pid in $!, its output
#                                 in $(handset_dir a)/NAME.log; ended by handsets_down
#   handset_pids a                everything that runs on a
#   handset_put a FILE            standard input becomes FILE on handset a
#   handset_dir a                 a directory that is a's alone
#   handset_addr a                its IPv4 address
#   link_rate RATE|none           tc's words: 20mbit, 1gbit; both directions
#   link_net a ip|tc WORDS...     the tool, on a's network
#   link_cut [a|b], link_mend     take that end's interface down (b's): the other end
#                                 sees its carrier go, as when a cable is pulled
#   link_freeze, link_thaw [RATE] the carrier stays, nothing gets through
#   link_bytes a                  bytes a has sent and received, by its interface
#   handsets_down                 end everything, also what failed half way
#
# All of it may be used under set -e. A caller's EXIT trap must call handsets_down. What a killed caller leaves behind
# is found by its pid in the names and cleared by the next handsets_up.

PATH=$PATH:/usr/sbin:/sbin
HANDSETS_IF=w0
HANDSETS_WORK=
HANDSETS_PIDS=

handsets_need() {
	local tool
	_handsets_lack() { echo "SKIP: ${0##*/}: $*"; exit 77; }
	[ "$(id -u)" = 0 ] ||
		_handsets_lack "two handsets on one machine need root"
	for tool in ip tc unshare dbus-daemon avahi-daemon; do
		command -v $tool >/dev/null ||
			_handsets_lack "$tool is not installed"
	done
	unshare -n sh -c "ip link add v0 type veth peer name v1 &&
	    tc qdisc add dev v0 root tbf rate 1mbit burst 64k latency 50ms" \
		2>/dev/null ||
		_handsets_lack "this kernel has no veth or no TBF, or may not use them"
}

_handsets_ns() { echo "persona-$HANDSETS_OWNER-$1"; }
handset_dir() { echo "$HANDSETS_WORK/$1"; }
handset_addr() { [ "$1" = a ] && echo 169.254.77.1 || echo 169.254.77.2; }

# Some of them have left for namespaces of their own; their environment still says
# where they come from.
_handsets_pids() {
	{
		ip netns pids "$1" | sed 's|.*|/proc/&/environ|'
		grep -slxzF "PERSONA_HANDSET=$1" /proc/[0-9]*/environ
	} | sed -n 's|^/proc/\([0-9]*\)/environ$|\1|p' | sort -nu
}
handset_pids() { _handsets_pids "$(_handsets_ns "$1")"; }

handset() { (handset_exec "$@"); }

handset_exec() {
	local side=$1
	shift
	export PERSONA_HANDSET=$(_handsets_ns "$side")
	export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$(handset_dir "$side")/bus
	exec ip netns exec "$(_handsets_ns "$side")" "$@"
}

handset_start() {
	local side=$1 name=$2
	shift 2
	# Replaces the shell, so that $! is the program itself.
	handset_exec "$side" "$@" < /dev/null \
		> "$(handset_dir "$side")/$name.log" 2>&1 9>&- &
	HANDSETS_PIDS="$! $HANDSETS_PIDS"
}

handset_put() { cat > "$2"; }

link_net() {
	local side=$1 tool=$2
	shift 2
	"$tool" -n "$(_handsets_ns "$side")" "$@"
}

handsets_up() {
	local side
	HANDSETS_OWNER=$BASHPID
	_handsets_sweep
	HANDSETS_WORK=$(mktemp -d "/tmp/persona-handsets-$HANDSETS_OWNER.XXXXXX")
	for side in a b; do
		mkdir -p "$HANDSETS_WORK/$side/run"
		ip netns add "$(_handsets_ns $side)" || return 1
	done
	ip link add $HANDSETS_IF netns "$(_handsets_ns a)" type veth \
		peer name $HANDSETS_IF netns "$(_handsets_ns b)" || return 1
	_handsets_addresses && link_rate "${1:-none}" || return 1
	[ "${2:-}" = bare ] || _handsets_buses
}

_handsets_addresses() {
	local side
	for side in a b; do
		link_net $side ip link set lo up
		link_net $side ip addr add "$(handset_addr $side)/16" brd + \
			dev $HANDSETS_IF
		_handsets_if_up $side || return 1
	done
}

_handsets_buses() {
	local side
	for side in a b; do
		_handsets_bus $side && _handsets_avahi $side || return 1
	done
	for side in a b; do
		_handsets_await 5 grep -qs 'Server startup complete' \
			"$(handset_dir $side)/avahi.log" || return 1
	done
}

handsets_down() {
	local side pid
	for pid in $HANDSETS_PIDS; do
		kill "$pid" 2>/dev/null || :
	done
	_handsets_gone $HANDSETS_PIDS
	HANDSETS_PIDS=
	[ -n "${HANDSETS_OWNER:-}" ] || return 0
	for side in a b; do
		_handsets_clear "$(_handsets_ns $side)"
	done
	[ -z "$HANDSETS_WORK" ] || rm -rf "$HANDSETS_WORK"
	HANDSETS_WORK=
}

# Wait a little for these pids to end, then insist.
_handsets_gone() {
	local end=$((SECONDS + 5)) pid
	for pid; do
		while kill -0 "$pid" 2>/dev/null; do
			if [ $SECONDS -ge $end ]; then
				kill -9 "$pid" 2>/dev/null || :
				break
			fi
			sleep 0.05
		done
		wait "$pid" 2>/dev/null || :
	done
}

# Whoever still runs in a namespace of ours was started on that handset.
_handsets_clear() {
	local pid
	[ -e "/run/netns/$1" ] || return 0
	for pid in $(_handsets_pids "$1"); do
		kill -9 "$pid" 2>/dev/null || :
	done
	ip netns del "$1" || :
}

# What callers left behind that are no more.
_handsets_sweep() {
	local path owner
	for path in /run/netns/persona-*-[ab]; do
		[ -e "$path" ] || continue
		owner=${path#/run/netns/persona-}
		owner=${owner%-[ab]}
		kill -0 "$owner" 2>/dev/null && continue
		_handsets_clear "$(basename "$path")"
		rm -rf "/tmp/persona-handsets-$owner."*
	done
}

_handsets_if_up() {
	link_net "$1" ip link set $HANDSETS_IF up &&
		link_net "$1" ip route replace 224.0.0.0/4 dev $HANDSETS_IF
}

# await SECONDS CMD...: until CMD succeeds
_handsets_await() {
	local end=$((SECONDS + $1 * ${PERSONA_SLOW:-1}))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.02
	done
}

_handsets_bus() {
	local dir
	dir=$(handset_dir "$1")
	handset_put "$1" "$dir/bus.conf" <<-END
	<busconfig>
	  <type>system</type>
	  <listen>unix:path=$dir/bus</listen>
	  <auth>EXTERNAL</auth>
	  <policy context="default">
	    <allow user="*"/>
	    <allow own="*"/>
	    <allow send_destination="*" eavesdrop="false"/>
	    <allow receive_sender="*"/>
	  </policy>
	</busconfig>
	END
	handset_start "$1" bus dbus-daemon --nofork --nopidfile \
		--config-file="$dir/bus.conf"
	_handsets_await 5 handset "$1" test -S "$dir/bus"
}

# Avahi keeps its pid file in a directory it was compiled with; a mount of its own
# lets two of them live. Without use-iff-running a lost carrier goes unnoticed.
_handsets_avahi() {
	local dir
	dir=$(handset_dir "$1")
	handset_put "$1" "$dir/avahi.conf" <<-END
	[server]
	host-name=handset-$1
	allow-interfaces=$HANDSETS_IF
	use-iff-running=yes
	use-ipv4=yes
	use-ipv6=yes
	[wide-area]
	enable-wide-area=no
	[publish]
	publish-workstation=no
	publish-hinfo=no
	END
	handset "$1" mkdir -p /run/avahi-daemon
	handset_start "$1" avahi unshare --mount --propagation private sh -c "
		mount --bind '$dir/run' /run/avahi-daemon &&
		exec avahi-daemon --file='$dir/avahi.conf' --no-drop-root \
			--no-chroot --no-rlimits"
}

# The queue holds 50 ms. The bucket must hold what the rate brings between two
# ticks of the kernel's clock, and a whole segment of the card's offload.
link_rate() {
	local side burst=64k
	case $1 in
	*gbit | [3-9]??mbit | ????*mbit) burst=256k ;;
	esac
	for side in a b; do
		link_net $side tc qdisc del dev $HANDSETS_IF root \
			2>/dev/null || :
		[ "$1" = none ] ||
			link_net $side tc qdisc add dev $HANDSETS_IF \
			root tbf rate "$1" burst $burst latency 50ms || return 1
	done
}

# One end down is what the other end sees as a pulled cable.
link_cut() {
	link_net "${1:-b}" ip link set $HANDSETS_IF down
}

link_mend() {
	_handsets_if_up a && _handsets_if_up b
}

# A filter on what leaves either side: the carrier stays, sockets learn nothing.
link_freeze() {
	local side
	for side in a b; do
		link_net $side tc qdisc replace dev $HANDSETS_IF \
			root blackhole || return 1
	done
}

link_thaw() {
	link_rate "${1:-none}"
}

link_bytes() {
	handset "$1" cat /proc/net/dev |
		awk -v name="$HANDSETS_IF:" '$1 == name { printf "%.0f\n", $2 + $10 }'
}

# SPDX-License-Identifier: ISC
# Two handsets that are emulated machines on one link, each with its own kernel, KVM
# and disk. To be sourced by bash after handsets.sh, whose words it gives the same
# meaning, in a network namespace of the story's own (machines_alone). Knows nothing
# of persona.
#
#   machines_alone CMD...        CMD where 127.0.0.1 is nobody else's
#   machines_are KERNELDIR INITRAMFS REACH SECONDS
#                                what handsets_up boots, for at most that long;
#                                the initramfs runs lab/serve
#   machine_boot a               handsets_up has done it once
#   machine_cut a                as if its battery fell out; its disk stays
#   machine_said a               the file with its console
#   MACHINES_OUTSIDE             the address at which a machine finds this side's
#                                127.0.0.1
#
# Files in handset_dir are on either side, under the same path: handset_start's logs
# outside, everything else on the machine's disk.

MACHINES_OUTSIDE=192.168.76.2
MACHINES_DISK=${MACHINES_DISK:-4G}

machines_alone() {
	if [ "$(id -u)" = 0 ]; then
		unshare --net "$@"
	else
		unshare --user --map-root-user --net "$@"
	fi
}

machines_are() {
	MACHINES_KERNEL=$1 MACHINES_INITRAMFS=$2 MACHINES_REACH=$3
	MACHINES_SECONDS=$4
}

machine_said() { echo "$HANDSETS_WORK/$1.console"; }
_machine_port() { [ "$1" = a ] && echo 7001 || echo 7002; }

handset_exec() {
	local side=$1
	shift
	exec "$MACHINES_REACH" "$(_machine_port "$side")" "$@"
}

handset_put() {
	handset "$1" sh -c 'cat > "$1"' sh "$2"
}

link_net() {
	handset "$@" < /dev/null
}

handsets_up() {
	local side
	HANDSETS_WORK=$(mktemp -d /tmp/persona-machines.XXXXXX)
	ip link set lo up
	for side in a b; do
		mkdir -p "$(handset_dir $side)"
		truncate -s "$MACHINES_DISK" "$HANDSETS_WORK/$side.disk"
		mke2fs -q -t ext4 "$HANDSETS_WORK/$side.disk" || return 1
		machine_boot $side
	done
	for side in a b; do
		_machine_up $side || return 1
	done
	_handsets_addresses && link_rate "${1:-none}" || return 1
	[ "${2:-}" = bare ] || _handsets_buses
}

# The link is a datagram a frame between two sockets: either machine may come and
# go. Whichever end is gone, the other sees nothing but silence.
machine_boot() {
	local side=$1 there=b
	[ "$side" = a ] || there=a
	LAB_APPEND="lab.dir=$(handset_dir "$side")" \
	"$(dirname "${BASH_SOURCE[0]}")/../lab/machine" "$MACHINES_KERNEL" \
		"$MACHINES_INITRAMFS" "$MACHINES_SECONDS" \
		-pidfile "$HANDSETS_WORK/$side.pid" \
		-drive "file=$HANDSETS_WORK/$side.disk,format=raw,if=virtio" \
		-netdev "dgram,id=w0,local.type=unix,local.path=$HANDSETS_WORK/$side.link,remote.type=unix,remote.path=$HANDSETS_WORK/$there.link" \
		-device "virtio-net-pci,netdev=w0,mac=52:54:00:00:00:0$side" \
		-netdev "user,id=out0,net=192.168.76.0/24,host=$MACHINES_OUTSIDE,hostfwd=tcp:127.0.0.1:$(_machine_port "$side")-192.168.76.15:7000" \
		-device "virtio-net-pci,netdev=out0,mac=52:54:00:00:01:0$side" \
		> "$(machine_said "$side")" 2>&1 9>&- &
	eval "MACHINE_PID_$side=$!"
	HANDSETS_PIDS="$! $HANDSETS_PIDS"
}

_machine_up() {
	local pid=MACHINE_PID_$1 end=$((SECONDS + 300))
	until _machine_answers "$1"; do
		if [ $SECONDS -ge $end ] || ! kill -0 "${!pid}" 2>/dev/null; then
			tail -n 20 "$(machine_said "$1")"
			return 1
		fi
		sleep 0.5
	done
}

_machine_answers() {
	grep -q '^lab: serving' "$(machine_said "$1")" &&
		handset "$1" true < /dev/null 2> /dev/null
}

machine_cut() {
	local pid=MACHINE_PID_$1
	kill -9 "$(cat "$HANDSETS_WORK/$1.pid")"
	wait "${!pid}" 2> /dev/null
	return 0
}

handsets_down() {
	local pid
	for pid in $HANDSETS_PIDS; do
		kill "$pid" 2>/dev/null || :
	done
	_handsets_gone $HANDSETS_PIDS
	HANDSETS_PIDS=
	[ -z "$HANDSETS_WORK" ] || rm -rf "$HANDSETS_WORK"
	HANDSETS_WORK=
}

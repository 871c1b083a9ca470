#!/bin/bash
# SPDX-License-Identifier: ISC
# it_unprivileged: personad as a user that is not root. Without /dev/kvm doctor and
# start say so, with the way out; with it a persona runs, shut in all the same, with
# disk and network, is checkpointed, suspended and goes on.
set -u

. "${srcdir:-$(dirname "$0")/..}/tests/lib/daemon.sh"

[ "$(id -u)" = 0 ] || {
	echo "SKIP: it_unprivileged: becoming another user needs root"
	exit 77
}
# Ourselves once more in a mount namespace, where /dev/kvm can be given away.
if [ "${UNPRIVILEGED_INSIDE:-}" != yes ]; then
	clean
	unshare -m true 2>/dev/null || {
		echo "SKIP: it_unprivileged: no mount namespaces here"
		exit 77
	}
	UNPRIVILEGED_INSIDE=yes exec unshare -m --propagation private "$0"
fi

nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
chmod 711 "$work"
mkdir "$work/state"
chown 65534:65534 "$work/state" "$runtime"
# Where programs of a build directory under root's home can be executed.
mkdir -m 755 "$work/bin"
cp "$bin"/persona-{vmm,sync,gate,pair,net} "$bin"/person{ad,actl} "$guest" "$work/bin/"
chmod 755 "$work"/bin/*
ctl() { "${nobody[@]}" "$work/bin/personactl" -S "$runtime/control.sock" "$@"; }
start_as_nobody() {
	"${nobody[@]}" "$work/bin/personad" --state-dir "$work/state" \
		--runtime-dir "$runtime" -o libexec-dir="$work/bin" \
		-o discovery=no -o listen=127.0.0.1 --name one --port 0 \
		2>> "$work/log" &
	daemon=$!
	await 10 answers
}
says() { ctl "${@:2}" 2>&1 | grep -q -e "$1"; }
status_of() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; }
trap 'umount /dev/kvm 2>/dev/null; clean' EXIT

# --- without /dev/kvm -------------------------------------------------------------

mknod "$work/kvm" c 10 232 && chmod 600 "$work/kvm" &&
	mount --bind "$work/kvm" /dev/kvm || {
	echo "SKIP: it_unprivileged: /dev/kvm cannot be given away here"
	exit 77
}
must "personad starts as nobody" start_as_nobody
must "doctor says that it may not open /dev/kvm" \
	says '/dev/kvm is there, but this user may not open it' doctor
must "and what to do" says 'adduser <user> kvm' doctor
must "a persona can be made" ctl create t --kernel "$work/bin/guest.elf" \
	--memory 64M --disk 16M --net --append "beat=100 rate=1M hot=4M disk=1M"
mustnot "it does not start" ctl start t 2>/dev/null
must "start says why" says 'no permission to open /dev/kvm' start t
must "and who knows what to do" says 'personactl doctor' start t
must "it is as it was" state_is t stopped

# --- with it ---------------------------------------------------------------------------

chmod 666 "$work/kvm"
must "given /dev/kvm it starts" ctl start t
must "and lives" await 30 beats t
pid=$(field t vmm_pid)
[ "$(status_of "$pid" NoNewPrivs)" = 1 ] && [ "$(status_of "$pid" Seccomp)" = 2 ] &&
	[ "$(status_of "$pid" CapEff)" = 0000000000000000 ] &&
	ok "its persona-vmm is shut in" || bad "persona-vmm: $(cat "/proc/$pid/status")"
if unshare -U true 2>/dev/null && "${nobody[@]}" unshare -Un true 2>/dev/null; then
	[ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ] &&
		ok "with no network of its own" || bad "it is on the network"
fi
must "top shows it" says '^t ' top
must "a checkpoint is kept" ctl checkpoint t > /dev/null 2>&1
must "it is suspended" ctl suspend t > /dev/null 2>&1
must "it goes on" ctl start t
must "and lives on" await 30 beats t
[ "$(beat_value "$(last_beat t)" bad)" = 0 ] && ok "all of its memory is right" ||
	bad "its memory: $(last_beat t)"
must "it is stopped" ctl stop t

[ $failures = 0 ] && echo "ok: all"
exit $((failures > 0))

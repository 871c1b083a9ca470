#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: who is asked for a login on which line of a persona, for each architecture
# and init; the parts of persona-mkimage by themselves, without packages or root.
set -u

. "${srcdir:-$(dirname "$0")/..}/tests/lib/words.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkimage=$PWD/mkimage/persona-mkimage
here=$(realpath "${srcdir:-$(dirname "$0")/..}")

# configured ARCH INIT: a root as Debian's packages leave it, with consoles, in $work/ARCH-INIT
configured() {
	local root=$work/$1-$2
	mkdir -p "$root/etc/systemd/system/getty.target.wants" || return 1
	printf '%s\n' 'si::sysinit:/etc/init.d/rcS' 'l0:0:wait:/etc/init.d/rc 0' \
		'1:2345:respawn:/sbin/getty --noclear 38400 tty1' > "$root/etc/inittab"
	(
		PERSONA_MKIMAGE_DATA=$here/mkimage
		. "$mkimage"
		arch=$1 init=$2 work=$work
		configure_init "$root"
	)
}
lines() {	# lines ARCH: the terminals that its inittab serves
	sed -n 's/.*:respawn:.* \([a-zA-Z]*[0-9]\) .*/\1/p' "$work/$1-sysvinit/etc/inittab" |
		tr '\n' ' '
}
units() {	# the same by systemd; each has its command
	local unit root=$work/$1-systemd/etc/systemd/system
	for unit in "$root"/getty.target.wants/serial-getty@*.service; do
		unit=${unit##*@}
		unit=${unit%.service}
		grep -q "^ExecStart=-/sbin/agetty .* $unit " \
			"$root/serial-getty@$unit.service.d/persona.conf" && printf '%s ' "$unit"
	done
}

for arch in amd64 arm64; do
	for init in sysvinit systemd; do
		must "$arch with $init" configured $arch $init
	done
	[ -x "$work/$arch-sysvinit/usr/lib/persona/rcS" ] || bad "no start of our own"
done
[ "$(lines amd64)" = "ttyS0 hvc0 " ] && ok "amd64 serves $(lines amd64)" ||
	bad "amd64 serves $(lines amd64)"
[ "$(lines arm64)" = "ttyAMA0 hvc0 " ] && ok "arm64 serves $(lines arm64)" ||
	bad "arm64 serves $(lines arm64)"
[ "$(units amd64)" = "hvc0 ttyS0 " ] && ok "with systemd: $(units amd64)" ||
	bad "amd64 with systemd serves $(units amd64)"
[ "$(units arm64)" = "hvc0 ttyAMA0 " ] && ok "with systemd: $(units arm64)" ||
	bad "arm64 with systemd serves $(units arm64)"

[ $failures = 0 ] && echo "ok: all"
exit $((failures > 0))

# SPDX-License-Identifier: ISC
# What every story of two emulated handsets begins with. To be sourced by bash in the
# build directory; brings the other files of tests/lib that such a story uses. Knows no
# story.
#
#   two_story [CMD]      make what the machines boot (CMD makes more of it), then run
#                        the calling script again, with the word "story", where the
#                        network is its own; does not return
#   two_begin            in the story: both machines up, a personad on each, paired
#   two_ok WORDS         with the seconds since the story began
#
# Awaiting is patient: emulated machines share this one's processors with others.

_two_lib=$(dirname "${BASH_SOURCE[0]}")
. "$_two_lib/handsets.sh"
. "$_two_lib/machines.sh"
. "$_two_lib/personas.sh"
. "$_two_lib/lab.sh"
. "$_two_lib/linux.sh"

two_story() {
	local status=0
	set -e
	lab_need mke2fs
	lab_make
	lab_handset "$LAB_WORK/handset.cpio" "$LAB_TESTS/lab/serve" \
		<(_two_parts)
	"${1:-:}"
	export LAB_KERNEL LAB_WORK
	machines_alone bash "$0" story &
	trap "kill $! 2>/dev/null; wait $!; exit 1" INT TERM
	wait $! || status=$?
	exit $status
}

_two_parts() {
	local module
	echo "program $LAB_BUILD/tests/lab/reach /bin/reach"
	for module in virtio_pci virtio_net virtio_blk ext4 crc32c_generic \
	    sch_netem tcp_bbr; do
		echo "module $module"
	done
}

two_begin() {
	PERSONA_BIN=/programs
	PERSONA_SLOW=10
	PERSONA_POLL_S=0.3
	machines_are "$LAB_KERNEL" "$LAB_WORK/handset.cpio" \
		"$LAB_BUILD/tests/lab/reach" "${LAB_SECONDS:-1800}"
	trap handsets_down EXIT
	trap 'exit 130' INT TERM
	handsets_up none || linux_fail "two machines do not come up"
	two_ok "two machines are up"
	daemon_start a || linux_fail "personad a"
	daemon_start b || linux_fail "personad b"
	pair_both || linux_fail "pairing"
	two_ok "they found each other and are paired over mDNS and $PAIR_DIGITS"
}

two_ok() { echo "ok: $* ($SECONDS s)"; }

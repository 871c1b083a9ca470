# SPDX-License-Identifier: ISC
# One personad in directories of its own. To be sourced by a story in bash, at its
# beginning; ends the story with 77 when the machine cannot run it. Knows commands and
# what they print; knows no story. Has the words of words.sh, too.
#
#   $work, $runtime    the story's directories, gone at its end with all processes
#   $guest             the small guest
#   $kvm               empty without KVM, where a story says kvm=optional before
#   start_daemon       personad, its pid in $daemon; any argument: its libexec-dir.
#                      daemon_options: an array of more
#   ctl ARGUMENTS...   personactl
#   says PATTERN ARGUMENTS...   it fails and says something like that
#   listen NAME [S]    what the persona says on its serial line for a second

story=$(basename "$0" .sh)
bin=$PWD
guest=$bin/tests/guest/guest.elf
if "$bin/persona-vmm" --probe > /dev/null 2>&1; then
	kvm=yes
elif [ "${kvm:-}" = optional ]; then
	kvm=
else
	echo "SKIP: $story: no KVM on this machine ($bin/persona-vmm --probe)"
	exit 77
fi
[ -x /usr/sbin/sshd ] || command -v sshd > /dev/null || {
	echo "SKIP: $story: sshd is not installed"
	exit 77
}

work=$(mktemp -d)
runtime=$(mktemp -d /tmp/pd.XXXXXX)	# short: socket paths are
daemon=
daemon_options=()
. "${srcdir:-$(dirname "$0")/..}/tests/lib/words.sh"

clean() {
	trap - EXIT INT TERM
	[ -z "$daemon" ] || kill "$daemon" 2>/dev/null
	for f in "$runtime"/vmm/*.pid; do
		[ -e "$f" ] && kill -9 "$(cut -d' ' -f1 "$f")" 2>/dev/null
	done
	[ "$failures" = 0 ] || tail -n 40 "$work/log"
	rm -rf "$work" "$runtime"
}
trap clean EXIT
trap 'exit 1' INT TERM

ctl() { "$bin/personactl" -S "$runtime/control.sock" "$@"; }
answers() { ctl list > /dev/null 2>&1; }
says() {
	local pattern=$1 said
	shift
	said=$(ctl "$@" 2>&1 < /dev/null) && { bad "$* succeeded"; return; }
	echo "$said" | grep -Eq "$pattern" && ok "refused: ${said#personactl: }" ||
		bad "$* said \"$said\", not /$pattern/"
}
field() { ctl show "$1" --json | sed -n "s/.*\"$2\": *\"\{0,1\}\([^\",}]*\).*/\1/p"; }
state_is() { [ "$(field "$1" state)" = "$2" ]; }
gone() { ! kill -0 "$1" 2>/dev/null; }

start_daemon() {
	"$bin/personad" --state-dir "$work/state" --runtime-dir "$runtime" \
		-o libexec-dir="${1-$bin}" -o discovery=no -o listen=127.0.0.1 \
		--name one --port 0 "${daemon_options[@]}" 2>> "$work/log" &
	daemon=$!
	await 10 answers
}

# What the guest says for a moment, on its serial line.
listen() {
	(sleep "${2:-1}"; printf '\035.') | timeout 9 "$bin/personactl" -S "$runtime/control.sock" \
		console "$1" 2>/dev/null | tr -d '\r'
}
last_beat() { listen "$1" | sed '$d' | grep '^beat ' | tail -n 1; }
beat_value() { echo "$1" | sed -n "s/.* $2=\([^ ]*\).*/\1/p"; }
beats() { [ -n "$(last_beat "$1")" ]; }

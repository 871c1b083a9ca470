# SPDX-License-Identifier: ISC
# The small Linux persona of lab/linux-persona, as two handsets see it. To be sourced by
# bash after handsets.sh and personas.sh. Knows its shell and its witness; knows no
# story.
#
#   LINUX_APPEND                 its kernel command line
#   linux_console SIDE PERSONA   join its serial line; ends with console_close
#   linux_said                   what it said since, as plain lines
#   linux_heard PATTERN          such a line is among it
#   linux_asked COMMAND PATTERN  typed, answered; asked again when nothing comes
#   linux_well SIDE              memory whole, clocks forward, further on than when
#                                last looked at; what it said in LINUX_WITNESS
#   linux_move FROM TO PERSONA [OPTION...]
#                                once more where the link went silent, since an emulated
#                                machine may stand still for as long as that takes; then
#                                it must have run on
#   linux_fail WORDS             with the logs; ends the story

LINUX_APPEND="console=ttyS0 quiet mitigations=off panic=-1 pci=off witness=2"
LINUX_ROUNDS=0
_linux_said=/dev/null

linux_fail() {
	local side file
	echo "FAIL: $*"
	for side in a b; do
		for file in personad.log move.out console.out; do
			[ -s "$(handset_dir $side)/$file" ] || continue
			tail -n 25 "$(handset_dir $side)/$file" |
				cut -c 1-200 | sed "s/^/  $side $file: /"
		done
	done
	exit 1
}

linux_console() {
	_linux_said=$(handset_dir "$1")/console.out
	: > "$_linux_said"
	console_open "$1" "$2" "$_linux_said"
}

# Without what steers a terminal; busybox's sed has no \x1b.
_linux_escape=$(printf '\033')
linux_said() {
	tr -d '\0\r' < "$_linux_said" |
		sed "s/$_linux_escape\[[0-9?;]*[a-zA-Z]//g"
}
linux_heard() { linux_said | grep -Eq "$1"; }

# A guest just resumed may want it twice.
linux_asked() {
	local try
	for try in 1 2 3 4; do
		echo "$1" >&6
		await 4 linux_heard "$2" && return 0
	done
	return 1
}

_linux_value() { echo "$LINUX_WITNESS" | sed -n "s/.*$1=\([-0-9]*\).*/\1/p"; }

linux_well() {
	: > "$_linux_said"
	linux_asked 'cat /run/witness' '^rounds=[0-9]+ .*uptime_ms=' ||
		linux_fail "no witness on $1"
	LINUX_WITNESS=$(linux_said | sed -n 's/^\(rounds=.*\)/\1/p' | tail -n 1)
	[ "$(_linux_value bad)" = 0 ] || linux_fail "memory was damaged on $1"
	[ "$(_linux_value backward)" = 0 ] ||
		linux_fail "a clock went backwards on $1"
	[ "$(_linux_value rounds)" -gt "$LINUX_ROUNDS" ] ||
		linux_fail "the witness stood still on $1"
	LINUX_ROUNDS=$(_linux_value rounds)
}

linux_move() {
	local from=$1 to=$2 persona=$3 out try
	shift 3
	out=$(handset_dir "$from")/move.out
	for try in 1 2 3; do
		if ctl "$from" move "$persona" "phone-$to" "$@" \
		    > "$out" 2>&1 < /dev/null; then
			tail -n 1 "$out"
			return 0
		fi
		grep -q 'the link went silent' "$out" || break
		[ "$(state "$from" "$persona")" = running ] ||
			linux_fail "a move broke and it does not run on $from"
		echo "$from: the link went silent, it runs on; try $try"
	done
	linux_fail "move from $from to $to"
}

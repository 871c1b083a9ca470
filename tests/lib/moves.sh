# SPDX-License-Identifier: ISC
# What a story of moves says, asks and insists on. To be sourced by bash after
# handsets.sh and personas.sh. Knows the small guest's lines; knows no story.
#
#   story_begin RATE             two paired handsets with a link of that rate; exits 77
#                                with a reason where this machine cannot. The command
#                                in STORY_BEFORE_DAEMONS runs before the personads
#   ok WORDS, fail WORDS         the second shows the logs and ends the story
#   need WORDS CMD...            CMD must succeed
#   need_soon SECONDS WORDS CMD...
#   ctl_says SIDE PATTERN ARGUMENTS...
#                                this command fails and its message matches
#   persona_make SIDE NAME [MEMORY [WORDS]]
#                                the small guest, running; its command line WORDS
#   guest_well SIDE NAME         it answers what is typed, all of its memory is right,
#                                and it is further on than when last looked at
#   lives_on SIDE NAME           it runs there, and the other side does not run it
#   nothing_on SIDE NAME         no record, no persona-vmm, no persona-sync there
#   pids_on SIDE PROGRAM [WORD]  our processes there, WORD on their command line
#   field NAME, number NAME      a string, a number from the JSON on standard input
#   tenure SIDE NAME
#   move_begin SIDE NAME PEER [OPTION...]
#                                in the background: its pid in MOVE_PID, all it says
#                                in $(move_said SIDE)
#   moving SIDE NAME             the move under way in JSON
#   move_copying SIDE NAME [N]   pages flow, more than N bytes have
#   move_ended                   wait for it; its exit status

other() { [ "$1" = a ] && echo b || echo a; }
ok() { echo "ok: $*"; }

fail() {
	local side file
	echo "FAIL: $*"
	for side in a b; do
		for file in personad.log move.out console.out; do
			[ -s "$(handset_dir $side)/$file" ] || continue
			tail -n 20 "$(handset_dir $side)/$file" |
				cut -c 1-180 | sed "s/^/  $side $file: /"
		done
	done
	exit 1
}

need() {
	local what=$1
	shift
	"$@" || fail "$what"
}

need_soon() {
	local seconds=$1 what=$2
	shift 2
	await "$seconds" "$@" || fail "$what (not within $seconds s)"
}

story_begin() {
	local tool
	handsets_need
	for tool in /usr/sbin/sshd ssh-keygen; do
		command -v $tool > /dev/null ||
			_handsets_lack "$tool is not installed"
	done
	"$PERSONA_BIN/persona-vmm" --probe > /dev/null 2>&1 ||
		_handsets_lack "this machine has no usable /dev/kvm"
	trap handsets_down EXIT
	trap 'exit 130' INT TERM
	handsets_up "$1" || fail "the handsets could not be made"
	${STORY_BEFORE_DAEMONS:-:}
	need "personad on a" daemon_start a
	need "personad on b" daemon_start b
	need "pairing" pair_both
}

ctl_says() {
	local side=$1 pattern=$2 said
	shift 2
	said=$(ctl "$side" "$@" 2>&1) && fail "$* on $side succeeded: $said"
	echo "$said" | grep -Eq "$pattern" ||
		fail "$* on $side said \"$said\", not /$pattern/"
}

field() { sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p' | tail -n 1; }
number() { sed -n 's/.*"'"$1"'": *\([-0-9.]*\).*/\1/p' | tail -n 1; }
tenure() { ctl "$1" show "$2" --json | number tenure; }

pids_on() {
	local pid words
	for pid in $(handset_pids "$1"); do
		words=$({ tr '\0' ' ' < "/proc/$pid/cmdline"; } 2>/dev/null)
		case $words in
		"$2 "*"${3:-}"* | */"$2 "*"${3:-}"*) echo "$pid" ;;
		esac
	done
}

persona_make() {
	ctl "$1" create "$2" --kernel "$PERSONA_BIN/tests/guest/guest.elf" \
		--memory "${3:-64M}" --append "${4:-hot=4M rate=2M beat=100}" \
		--start > /dev/null || fail "$2 does not start on $1"
	last_n=0
	guest_well "$1" "$2"
}

# The line typed is new each time: what an earlier console left cannot answer it.
guest_well() {
	local file word="are you well $RANDOM$RANDOM" beat
	file=$(handset_dir "$1")/console.out
	: > "$file"
	console_open "$1" "$2" "$file"
	await 20 last_beat "$file" > /dev/null || fail "$2 is silent on $1"
	echo "$word" >&6
	await 10 grep -q "^echo: $word" "$file" ||
		fail "$2 on $1 does not answer what is typed"
	echo v >&6
	await 60 verified "$word" "$file" ||
		fail "$2 on $1 says nothing of its memory"
	await 10 beats_beyond "$file" "${last_n:-0}" ||
		fail "$2 stands still on $1, or has begun anew"
	# Before the console closes, which may cut a line short.
	beat=$(last_beat "$file")
	console_close
	verified "$word" "$file" ' ok' || fail "the memory of $2 is wrong on $1"
	[ "$(value_of "$beat" bad)" = 0 ] || fail "$2 found wrong bytes on $1"
	[ "$(value_of "$beat" fpu)" = ok ] || fail "$2 lost its FPU state on $1"
	last_n=$(value_of "$beat" n)
	well_beat=$beat
}

value_of() { echo "$1" | sed -n "s/.* $2=\([^ ]*\).*/\1/p"; }
verified() { sed "1,/^echo: $1/d" "$2" | grep -q "^verify${3:-} .*ms="; }

beats_beyond() {
	local n
	n=$(last_beat "$1" n) && [ "$n" -gt "$2" ]
}

lives_on() {
	local there
	there=$(other "$1")
	[ "$(state "$1" "$2")" = running ] ||
		fail "$2 does not run on $1: $(state "$1" "$2")"
	case $(state "$there" "$2") in
	moved | '') ;;
	*) fail "$2 is on $there too: $(state "$there" "$2")" ;;
	esac
	[ -z "$(pids_on "$there" persona-vmm)" ] ||
		fail "a persona-vmm is left on $there"
}

nothing_on() {
	need_soon 10 "a persona-vmm remains on $1" no_process "$1" persona-vmm
	need_soon 10 "a persona-sync remains on $1" no_process "$1" persona-sync
	[ -z "$(state "$1" "$2")" ] ||
		fail "$2 is still known on $1: $(state "$1" "$2")"
}

no_process() { [ -z "$(pids_on "$1" "$2")" ]; }

move_said() { echo "$(handset_dir "$1")/move.out"; }

move_begin() {
	local side=$1
	shift
	: > "$(move_said "$side")"
	ctl_exec "$side" move "$@" --json > "$(move_said "$side")" 2>&1 &
	MOVE_PID=$!
}

move_ended() { wait $MOVE_PID; }

# The move under way, as `status` tells it, or nothing; ended ones are told too.
moving() {
	ctl "$1" status "$2" --json | sed 's/{"persona"/\n&/g' |
		grep '"ended": *false'
}

move_copying() {
	local now
	now=$(moving "$1" "$2") && [ "$(echo "$now" | field phase)" = copying ] &&
		[ "$(echo "$now" | number bytes_sent)" -gt "${3:-1000000}" ]
}

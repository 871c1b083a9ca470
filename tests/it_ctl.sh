#!/bin/bash
# SPDX-License-Identifier: ISC
# it_ctl: personactl against a personad with canned answers: exit codes, what it
# asks, what it prints for people and for programs, Ctrl-C, console, completion.
# Needs no KVM, no network and no root.
set -u

bin=$PWD
src=${srcdir:-.}
dir=$(mktemp -d) || exit 99
fake=
failures=0

tidy_up() {
	[ -z "$fake" ] || kill "$fake" 2>/dev/null
	rm -rf "$dir"
}
trap tidy_up EXIT
trap 'exit 130' INT TERM

fail() {
	echo "FAIL: $*"
	failures=$((failures + 1))
}

# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.02
	done
}

# ctl STATUS ARGUMENTS...: personactl must leave with STATUS
ctl() {
	local want=$1 got
	shift
	"$bin/personactl" "$@" > "$dir/out" 2> "$dir/err"
	got=$?
	[ $got -eq "$want" ] || fail "personactl $*: status $got, not $want:" \
		"$(cat "$dir/out" "$dir/err")"
}

# says FILE TEXT, asked TEXT: a line must hold it
says() {
	grep -qF -e "$2" "$dir/$1" || fail "$1 lacks '$2': $(cat "$dir/$1")"
}

asked() {
	wait_for 5 grep -qF -e "$1" "$dir/asked" ||
		fail "personad was not asked '$1'"
}

json() {
	"$bin/tests/json-lines" < "$dir/out" || fail "not JSON: $*"
}

clean() {
	if grep -q $'[\033\007]' "$dir/out" "$dir/err"; then
		fail "control characters reach the terminal"
	fi
}

commands=$("$bin/personactl" --help |
	sed -n 's/^  \([a-z][a-z]*\) .*/\1/p')
[ "$(echo "$commands" | wc -l)" -ge 17 ] || fail "no list of commands"

export PERSONA_SOCKET=$dir/none.sock
echo "-- every command explains itself, without personad"
for c in $commands; do
	ctl 0 "$c" --help
	says out "usage: personactl $c"
	ctl 2 "$c" --no-such-option
	ctl 2 "$c" --no-such-option --json
	json "$c"
	ctl 2 --json "$c" --no-such-option
	json "$c"
	ctl 2 "$c" a b c d
done
ctl 0 --version
ctl 2
ctl 2 frobnicate
ctl 2 --frobnicate

echo "-- nobody answers"
ctl 3 list
says err "start it with"
ctl 3 list --json
json list
says out '"error":"ENOENT"'
ctl 3 --socket "$(printf '%0200d' 0)" list
PERSONA_LIBEXEC=$dir ctl 3 doctor
says out "persona-vmm was not found"
says out "start it with"
printf '#!/bin/sh\n[ "$2" = --json ] && echo "{\\"kvm\\":1}" || echo kvm fine\n' \
	> "$dir/persona-vmm"
chmod +x "$dir/persona-vmm"
PERSONA_LIBEXEC=$dir ctl 3 doctor
says out "kvm fine"
PERSONA_LIBEXEC=$dir ctl 3 doctor --json
json doctor
says out '"vmm_probe":{"kvm":1}'

export PERSONA_SOCKET=$dir/control.sock
"$bin/tests/fake-personad" "$PERSONA_SOCKET" > "$dir/asked" 2>&1 &
fake=$!
wait_for 5 test -S "$PERSONA_SOCKET" || { fail "no fake"; exit 1; }

echo "-- personas"
ctl 0 list
says out "work  running"
says out "moved away"
clean
ctl 0 list --json
json list
says out '"state":"moved"'
ctl 0 list --names
[ "$(cat "$dir/out")" = $'work\nhome' ] || fail "--names: $(cat "$dir/out")"
ctl 0 show work
says out "512 MiB"
clean
ctl 0 show work --json
json show
says out '"tenure":7'
ctl 1 show other
says err "no persona of that name"
ctl 1 --json show other
json show other
says out '"error":"ENOENT"'
ctl 3 show garbage
says err "same version"
ctl 3 pause vanish
says err "personad ended"
ctl 2 show Not-A-Name
says err "begins with a letter"
for c in start stop kill pause resume; do
	ctl 0 $c work
	[ -s "$dir/out" ] && fail "$c talks: $(cat "$dir/out")"
	ctl 0 $c work --json
	json $c
	ctl 1 $c other
	says err "it cannot be done"
	clean
	ctl 1 --json $c other
	json $c other
done
ctl 2 switch work work
ctl 1 checkpoints other --json
json checkpoints
ctl 0 stop -t 3 work
asked "stop work 3000"
ctl 2 stop --timeout soon work

echo "-- create"
: > "$dir/kernel"
ln -s kernel "$dir/link"
(cd "$dir" && "$bin/personactl" create web -k link -m 256M -c 2 \
	-a 'a b' --start) || fail "create"
asked "create web ram=268435456 vcpus=2 cpu=- kernel=$dir/kernel initrd=-"
asked "cmdline=a b start=1"
ctl 2 create web
says err "--kernel or --image is missing"
ctl 1 create web -k "$dir/nothing"
ctl 2 create web -k "$dir/kernel" -m 1G2
ctl 2 create web -k "$dir/kernel" -c 9
ctl 2 create web -k "$dir/kernel" -a "$(printf '%03000d' 0)"
ctl 0 create web -k "$dir/kernel" --json
json create

echo "-- delete asks first"
ctl 1 delete work < /dev/null
ctl 1 delete work <<< n
ctl 1 delete work <<< yesterday
grep -q '^name .* work$' <(tail -n 1 "$dir/asked") &&
	fail "deleted without a yes"
ctl 0 delete work <<< y
ctl 0 delete --yes work
ctl 0 delete --yes work --json
json delete

echo "-- doctor"
ctl 1 doctor
says out "apt-get install avahi-daemon"
ctl 1 doctor --json
json doctor
says out '"verdict":"failed"'

echo "-- peers and pairing"
ctl 0 peers
says out "192.0.2.7 7272 (wlan0) +1"
says out "WARNING"
clean
ctl 0 peers --json
json peers
ctl 0 unpair bob
ctl 0 unpair bob --json
ctl 0 pair bob <<< y
says out "042 137"
says out "Paired with bob"
asked "answer 99 1"
ctl 0 pair <<< YES
says out "Paired with alice"
ctl 1 pair bob <<< n
says err "not the same"
asked "answer 99 0"
for answer in '' ' y' yy no '042137' "$(printf '%0100d' 0)"; do
	ctl 1 pair bob <<< "$answer"
done
ctl 1 pair bob < /dev/null
ctl 1 pair silent
says err "nobody answered in time"
ctl 0 pair bob --json <<< y
json pair
says out '"step":"compare","digits":"042137"'
ctl 1 pair bob --json <<< n
json pair

echo "-- moves"
ctl 0 move work bob
says out "work -> bob: "
says out "work now runs on bob: 2.5 s in all, stood still for 43 ms"
ctl 0 move work bob --json
json move
[ "$(wc -l < "$dir/out")" -ge 6 ] || fail "move --json does not stream"
ctl 0 move -b 60 --bandwidth 200Mbit -d work bob
asked "move work bob budget=60 rate=25000000 detach=1"
says out "has begun"
ctl 1 move work broken
says err "connection to the other handset was lost"
says err "work still runs here"
ctl 1 move work broken --json
json move
says out '"reason":"link-lost"'
ctl 2 move work bob -r fast
ctl 2 move work bob -b 0
ctl 2 move work
ctl 0 status
ctl 0 status --json
json status
ctl 0 status home
says out "Nothing is being moved"
ctl 0 status --follow
says out "now runs on bob"
ctl 1 status --follow work
says err "not what was sent"
ctl 1 status --follow work --json
json status
ctl 0 cancel work
ctl 0 cancel work --json

echo "-- Ctrl-C"
# An interactive shell's child gets SIGINT; a script's background one ignores
# it until somebody asks for it again, which personactl does.
"$bin/personactl" move work slow > "$dir/out" 2> "$dir/err" &
pid=$!
wait_for 5 grep -q 'work -> bob' "$dir/out" || fail "no progress"
kill -INT $pid
wait $pid
[ $? -eq 1 ] || fail "a cancelled move is no success"
says err "Cancelling"
says err "the move was cancelled"
says err "work still runs here"
asked "cancel work"
"$bin/personactl" --json move work slow > "$dir/out" 2> "$dir/err" &
pid=$!
wait_for 5 grep -q '"move"' "$dir/out" || fail "no progress"
kill -INT $pid
wait $pid
[ $? -eq 1 ] || fail "a cancelled move is no success"
json move
says out '"reason":"cancelled"'
"$bin/personactl" move work stuck > "$dir/out" 2> "$dir/err" &
pid=$!
wait_for 5 grep -q 'work -> bob' "$dir/out" || fail "no progress"
kill -INT $pid
wait_for 5 grep -q Cancelling "$dir/err" || fail "not cancelling"
kill -INT $pid
wait $pid
[ $? -eq 1 ] || fail "leaving is no success"
says err "left without waiting"

echo "-- console through pipes"
printf 'abc\035.' | "$bin/personactl" console work > "$dir/out" 2> "$dir/err" ||
	fail "console"
says err "Ctrl-] then '.' leaves"
printf 'abc\035\035d\035xy!' |
	"$bin/personactl" console work > "$dir/out" 2> "$dir/err" ||
	fail "console"
says out "hello from the guest"
says out $'ABC\035D\035XY!'
says err "closed"
printf 'a\377!' | "$bin/personactl" console work --json > "$dir/out"
json console
says out '"end":"closed"'

# script(1) gives personactl a terminal of its own.
if command -v script > /dev/null && command -v stty > /dev/null; then
	echo "-- console on a terminal"
	cat > "$dir/on-terminal" <<-SH
	stty -g > $dir/before
	$bin/personactl console work & pid=\$!
	echo \$pid > $dir/pid
	fg > /dev/null 2>&1 || wait \$pid
	stty -g > $dir/after
	SH
	# terminal INPUT-FIFO: the shell script above, keys from a pipe
	terminal() {
		rm -f "$dir/keys" "$dir/before" "$dir/after" "$dir/typescript"
		mkfifo "$dir/keys"
		script -qefc "bash -m $dir/on-terminal" "$dir/typescript" \
			< "$dir/keys" > /dev/null 2>&1 &
		script=$!
		exec 7> "$dir/keys"
		wait_for 5 grep -qs 'hello from' "$dir/typescript" ||
			fail "the console does not come up on a terminal"
	}
	restored() {
		wait_for 5 test -s "$dir/after" || fail "$1: did not leave"
		cmp -s "$dir/before" "$dir/after" ||
			fail "$1: the terminal is not as it was"
		exec 7>&-
		wait $script
	}
	script -qec "stty columns 100; $bin/personactl move work bob" \
		"$dir/typescript" < /dev/null > /dev/null 2>&1 ||
		fail "a move on a terminal"
	says typescript "work -> bob  [="
	says typescript $'\r\033[Kwork now runs on bob'
	terminal
	printf 'keys\003\004' >&7	# Ctrl-C and Ctrl-D are the guest's
	asked "key 3"
	asked "key 4"
	printf '\035.' >&7
	restored "escape"
	says typescript "KEYS"
	terminal
	kill -TERM "$(cat "$dir/pid")"
	restored "SIGTERM"
	terminal
	kill -HUP "$(cat "$dir/pid")"
	restored "SIGHUP"
fi

echo "-- a reader that leaves"
"$bin/personactl" list | true
"$bin/personactl" list > /dev/full 2>/dev/null && fail "a full disk is success"
"$bin/personactl" --help > /dev/full 2>/dev/null && fail "so is it for help"

[ $failures -eq 0 ] && echo "it_ctl: all well"
[ $failures -eq 0 ]

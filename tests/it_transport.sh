#!/bin/bash
# SPDX-License-Identifier: ISC
# Two handsets' worth of transport on loopback: bytes arrive whole over SSH, and
# nothing but the gate can be reached through it, whatever is tried (invariant 6).
# Deaths of sshd and of either end are noticed.
set -u

sshpipe=$(readlink -f tests/sshpipe)
gate=$(readlink -f persona-gate)
skip() { echo "SKIP: $1"; exit 77; }
[ -x "$sshpipe" ] && [ -x "$gate" ] || { echo "not built"; exit 1; }
[ "$(id -u)" = 0 ] || [ -n "$(getent passwd "$(id -u)")" ] ||
	skip "this uid has no account, so sshd serves nobody"
command -v ssh >/dev/null || skip "no ssh client"

# With --as-somebody DIR this is the last part of a story that began in DIR.
dir=${2:-$(mktemp -d "${TMPDIR:-/tmp}/persona-transport-XXXXXX")}
pids=()
cleanup() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
	wait 2>/dev/null
	[ -n "${keep:-}" ] || rm -rf "$dir"
}
keep=${1:-}
trap cleanup EXIT
trap 'exit 1' INT TERM

failed=0
ok() { echo "ok: $1"; }
bad() { echo "FAILED: $1"; failed=1; }
is() {	# what, got, wanted
	if [ "$2" = "$3" ]; then ok "$1"; else bad "$1 (got $2, not $3)"; fi
}
until_true() {	# seconds, command...
	local end=$((SECONDS + $1))
	shift
	until "$@" 2>/dev/null; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

make_keys() {
	mkdir -m 700 "$dir/caller" "$dir/stranger" "$dir/server"
	for who in caller stranger; do
		"$sshpipe" call --dir "$dir/$who" || { echo "no key"; exit 1; }
		echo >> "$dir/$who/key"
	done
	cp "$dir/caller/key" "$dir/keys"
}

# A daemon's worth of it in $dir/server, of uid $as if that is set.
serve() {	# gate, bytes
	rm -f "$dir/server/port" "$dir/server/events"
	${as:+setpriv --reuid=$as --regid=$as --clear-groups} "$sshpipe" serve \
	    --dir "$dir/server" --gate "$1" --bytes "$2" \
	    --keys "$dir/keys" 2>>"$dir/log" &
	server=$!
	pids+=("$server")
	until_true 10 test -s "$dir/server/port" || { cat "$dir/log"; exit 1; }
	port=$(cat "$dir/server/port")
	key=$(cat "$dir/server/key")
}
stop() { kill "$server"; wait "$server" 2>/dev/null; }
call() {	# who, bytes, more...
	local who=$1 bytes=$2
	shift 2
	timeout 120 "$sshpipe" call --dir "$dir/$who" --host 127.0.0.1 \
	    --port "$port" --peer-key "$key" --bytes "$bytes" "$@" \
	    >"$dir/out" 2>>"$dir/log"
}
seen() { grep -q "$1" "$dir/server/events"; }
count() { grep -c "$1" "$dir/server/events"; }

EACCES=13 ECONNREFUSED=111 ECONNRESET=104 EKEYREJECTED=129 ETIMEDOUT=110
user=$(id -un)
ssh_as() {	# who, options and command
	local who=$1
	shift
	timeout 20 ssh -F none -i "$dir/$who/identity" -p "$port" -l "$user" \
	    -o IdentitiesOnly=yes -o IdentityAgent=none -o BatchMode=yes \
	    -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
	    -o LogLevel=VERBOSE "$@" </dev/null
}
try() { ssh_as caller "$@" 127.0.0.1 ${cmd:-} >"$dir/out" 2>&1; }

flood_arrives_whole() {
	serve "$gate" 26000000
	call caller 26000000
	is "4 x 26 MB both ways, in random pieces, arrive whole" $? 0
	until_true 5 seen "sshd .* ended"
	is "the other end saw the same" "$(count 'ended: well, 26000001')" 4
	stop
	serve "$gate" 300000
	call caller 300000 --channels 16 --seed 5
	is "16 channels" $? 0
	call caller 300000 --channels 1 --host ::1 --seed 6
	is "IPv6, one channel" $? 0
}

keys_decide() {
	key=$(cat "$dir/stranger/key") call caller 1000
	is "another host key than the pinned one" $? $EKEYREJECTED
	if seen "Accepted" || grep -q "stream .* of" "$dir/out"; then
		bad "it was used all the same"
	fi
	call stranger 1000
	is "a key that is not paired" $? $EACCES
	: > "$dir/keys"
	kill -HUP "$server"
	until_true 5 seen "keys read again"
	call caller 1000
	is "a key that was unpaired" $? $EACCES
	cat "$dir/stranger/key" "$dir/caller/key" > "$dir/keys"
	kill -HUP "$server"
	sleep 0.2
	call stranger 300000
	is "a key paired since" $? 0
	cp "$dir/caller/key" "$dir/keys"
	kill -HUP "$server"
	port=1 call caller 1000
	is "nobody listens" $? $ECONNREFUSED
	call caller 1000 --transfer 0123
	is "a malformed transfer is our own error" $? 22
}

refused_by_gate() {
	if [ "$1" != 0 ] && grep -q "only persona streams" "$dir/out"; then
		ok "$2: refused"
	else
		bad "$2: not refused by the gate: $(tail -2 "$dir/out")"
	fi
}

nothing_but_the_gate() {
	local t=00112233445566778899aabbccddeeff before
	before=$(count "^stream")
	try; refused_by_gate $? "a shell"
	cmd="id" try; refused_by_gate $? "a command"
	cmd="/bin/sh -i" try; refused_by_gate $? "an interactive shell"
	cmd="scp -f /etc/passwd" try; refused_by_gate $? "scp"
	cmd="sftp" try -s
	[ $? != 0 ] && grep -q "subsystem request failed" "$dir/out" &&
		ok "sftp: refused" || refused_by_gate 1 "sftp"
	cmd="persona-stream $t 16" try; refused_by_gate $? "channel 16"
	cmd="persona-stream $t 1;id" try; refused_by_gate $? "a command behind"
	cmd="persona-stream \$(id) 1" try; refused_by_gate $? "a substitution"
	cmd="persona-gate --socket /x" try; refused_by_gate $? "the gate by name"
	try -tt
	[ $? != 0 ] && grep -q "PTY allocation request failed" "$dir/out" &&
		ok "a terminal: refused" || bad "a terminal: $(cat "$dir/out")"
	is "no stream was opened by any of these" "$(count '^stream')" "$before"
	try -W "127.0.0.1:$port"
	[ $? != 0 ] && grep -q "prohibited\|forwarding failed" "$dir/out" &&
		ok "-W: refused" || bad "-W: $(cat "$dir/out")"
	try -N -o ExitOnForwardFailure=yes -R 0:127.0.0.1:"$port"
	[ $? != 0 ] && [ $? != 124 ] && ok "-R: refused" || bad "-R"
	try -N -o ExitOnForwardFailure=yes -R "$dir/remote.sock:127.0.0.1:$port"
	[ -e "$dir/remote.sock" ] && bad "-R socket" || ok "-R socket: refused"
	try -N -o ExitOnForwardFailure=yes -w 0:0
	[ $? != 0 ] && ok "-w: refused" || bad "-w"
}

# -L and -D listen at the client; the refusal shows when they are used.
local_forwards() {
	local opt lport client
	for opt in L D; do
		lport=$((20000 + RANDOM % 20000))
		if [ $opt = L ]; then
			set -- -L "127.0.0.1:$lport:127.0.0.1:$port"
		else
			set -- -D "127.0.0.1:$lport"
		fi
		ssh_as caller -N "$@" 127.0.0.1 2>"$dir/out" &
		client=$!
		pids+=("$client")
		until_true 10 bash -c ": </dev/tcp/127.0.0.1/$lport"
		if [ $opt = L ]; then
			bash -c "exec 3<>/dev/tcp/127.0.0.1/$lport
			    echo SSH-2.0-x >&3
			    timeout 3 cat <&3" >"$dir/got" 2>/dev/null
		else	# SOCKS4: connect to 127.0.0.1:$port
			bash -c "exec 3<>/dev/tcp/127.0.0.1/$lport
			    printf '\\4\\1\\x$(printf %02x $((port >> 8)))' >&3
			    printf '\\x$(printf %02x $((port & 255)))' >&3
			    printf '\\177\\0\\0\\1\\0SSH-2.0-x\\n' >&3
			    timeout 3 cat <&3" >"$dir/got" 2>/dev/null
		fi
		if grep -aq "OpenSSH" "$dir/got"; then
			bad "-$opt: reached something"
		elif grep -q "prohibited" "$dir/out"; then
			ok "-$opt: refused"
		else
			bad "-$opt: no refusal seen: $(cat "$dir/out")"
		fi
		kill "$client" 2>/dev/null
		wait "$client" 2>/dev/null
	done
}

no_other_way_in() {
	local way
	for way in none password keyboard-interactive hostbased \
	    gssapi-with-mic; do
		ssh_as stranger -o PubkeyAuthentication=no \
		    -o PreferredAuthentications=$way 127.0.0.1 id \
		    >"$dir/out" 2>&1
		[ $? = 255 ] && grep -q "Permission denied (publickey)" \
		    "$dir/out" && ok "$way: refused" ||
		    bad "$way: $(cat "$dir/out")"
	done
	user=daemon ssh_as caller 127.0.0.1 id >"$dir/out" 2>&1
	[ $? = 255 ] && ok "another account: refused" || bad "another account"
	ssh_as caller -o MACs=hmac-sha2-256-etm@openssh.com \
	    -o Ciphers=aes128-ctr 127.0.0.1 id >"$dir/out" 2>&1
	grep -q "no matching MAC" "$dir/out" && ok "encrypt-then-MAC: refused" ||
		bad "encrypt-then-MAC"
}

# A gate that writes down what sshd gave it: no agent, no display, no variables.
nothing_in_the_environment() {
	stop
	printf '#!/bin/sh\nenv > %s/env\necho "$@" > %s/args\n' \
	    "$dir" "$dir" > "$dir/spy"
	chmod 755 "$dir/spy"
	serve "$dir/spy" 1
	eval "$(ssh-agent -s)" >/dev/null
	pids+=("$SSH_AGENT_PID")
	DISPLAY=:9 LC_SPY=1 PERSONA_X=1 cmd="id" try -A -X \
	    -o IdentityAgent="$SSH_AUTH_SOCK" -o SendEnv="LC_* PERSONA_X" \
	    -o SetEnv=LD_PRELOAD=/nonexistent
	kill "$SSH_AGENT_PID"
	until_true 5 test -s "$dir/args"
	is "the forced command ran instead" "$(cut -d' ' -f3 "$dir/args")" \
	    "--fingerprint"
	grep -q "SSH_AUTH_SOCK\|DISPLAY\|LC_SPY\|PERSONA_X\|LD_PRELOAD" \
	    "$dir/env" && bad "something passed: $(cat "$dir/env")" ||
	    ok "no agent, no display, no variable passed"
	stop
}

all_ended() { [ "$(count 'stream ended')" = 4 ]; }

# Begin a flood that does not end, do something deadly, see who notices.
deadly() {	# what, command with $sshd set
	serve "$gate" 400000000000
	call caller 400000000000 &
	local client=$! begin
	pids+=("$client")
	until_true 10 seen "^stream .* 3 of"
	sleep 0.5
	sshd=$(sed -n 's/^sshd \([0-9]*\)$/\1/p' "$dir/server/events")
	begin=$SECONDS
	eval "$2"
	wait "$client" 2>/dev/null
	[ $? != 0 ] && ok "$1: the caller noticed" || bad "$1: the caller"
	if [ "$1" != "a killed daemon" ]; then
		until_true 10 all_ended
		is "$1: the daemon noticed" "$(count 'stream ended')" 4
	fi
	[ $((SECONDS - begin)) -le 15 ] || bad "$1: only after long"
	stop
}

# Bytes that are neither; callers that say nothing.
strangers_at_the_door() {
	local i fds=() fd turned_away=0
	serve "$gate" 100000
	for i in "GET / HTTP/1.0" "XXXX" "ssh-" "SSH" "PAI"; do
		exec {fd}<>"/dev/tcp/127.0.0.1/$port"
		printf '%s\n' "$i" >&"$fd"
		if read -r -t 3 -u "$fd" 2>/dev/null || [ $? -gt 128 ]; then
			bad "'$i' was answered or kept"
		else
			ok "'$i': closed"
		fi
		exec {fd}>&-
	done
	exec {fd}<>"/dev/tcp/127.0.0.1/$port"
	printf 'PAIR' >&"$fd"
	until_true 5 seen "pairing from 127.0.0.1: PAIR"
	is "PAIR is handed on, unread" $? 0
	exec {fd}>&-
	for i in $(seq 12); do
		exec {fd}<>"/dev/tcp/127.0.0.1/$port"
		fds+=("$fd")
	done
	for fd in "${fds[@]}"; do
		read -r -t 0.1 -u "$fd" 2>/dev/null
		[ $? = 1 ] && turned_away=$((turned_away + 1))
	done
	is "of 12 silent callers, turned away" $turned_away 4
	call caller 100000
	is "and a ninth from there has to wait" $? $ECONNRESET
	if bash -c ": >/dev/tcp/::1/$port" 2>/dev/null; then
		call caller 100000 --host ::1
		is "but another address is served" $? 0
	fi
	for fd in "${fds[@]}"; do exec {fd}>&-; done
	until_true 5 call caller 100000
	is "and so is that one, once they hang up" $? 0
	stop
	# a peer that accepts and says nothing
	call caller 1000 --timeout-ms 300 --host 127.0.0.1
	is "a dead port" $? $ECONNREFUSED
}

# The same as an ordinary account. Its shell must be a shell, so in a private
# mount namespace one of the system's accounts gets one. (Not nobody: systemd
# tells everyone but root that it is locked.)
as_somebody_else() {
	[ "$(id -u)" = 0 ] && command -v setpriv >/dev/null &&
	    getent passwd games >/dev/null && unshare -m true || return 0
	sed "s,^games:.*,games:x:5:60:games:/:/bin/sh," /etc/passwd \
	    > "$dir/passwd"
	chmod 755 "$dir"
	chmod 644 "$dir/passwd" "$dir/keys"
	chown -R 5 "$dir/server"
	unshare -m "$BASH" "$0" --as-somebody "$dir" || failed=1
}
somebody_story() {
	mount --bind "$dir/passwd" /etc/passwd || return 0
	as=5
	user=games
	serve "$gate" 3000000
	call caller 3000000
	is "a daemon of an ordinary account" $? 0
	cmd="id" try
	refused_by_gate $? "its shell"
	user=root ssh_as caller 127.0.0.1 id >"$dir/out" 2>&1
	[ $? = 255 ] && ok "root through it: refused" || bad "root through it"
	stop
}

if [ "${1:-}" = --as-somebody ]; then
	somebody_story
	exit $failed
fi

make_keys
flood_arrives_whole
keys_decide
nothing_but_the_gate
local_forwards
no_other_way_in
nothing_in_the_environment
deadly "a killed sshd" 'kill -9 $(pgrep -P "$sshd") "$sshd"'
deadly "a killed caller" 'kill -9 $(pgrep -P "$(pgrep -P "$client")")'
deadly "a killed daemon" 'kill -9 "$server"'
strangers_at_the_door
as_somebody_else
[ $failed = 0 ] || tail -30 "$dir/log"
exit $failed

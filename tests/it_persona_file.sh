#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: a persona in one file. Export and import, through a pipe, with a passphrase,
# to a paired handset; a wrong passphrase, a damaged, cut or lengthened file, a full
# disk, a name that is taken, Ctrl-C and kill -9 of everything in the middle: each is
# an error that says what it is, and nothing half-made is left. (Invariants 1, 3, 4, 7.)
set -u

bin=$PWD
[ -x /usr/sbin/sshd ] || command -v sshd > /dev/null || {
	echo "SKIP: it_persona_file: sshd is not installed"
	exit 77
}

. "${srcdir:-$(dirname "$0")/..}/tests/lib/words.sh"
work=$(mktemp -d /tmp/pf.XXXXXX)	# short: socket paths are
mounted=

clean() {
	local side pid
	trap - EXIT INT TERM
	for side in a b; do
		[ -e "$work/$side/pid" ] &&
			kill "$(cat "$work/$side/pid")" 2>/dev/null
	done
	for pid in $(jobs -p); do
		kill "$pid" 2>/dev/null
	done
	[ -z "$mounted" ] || umount -l $mounted 2>/dev/null
	[ $failures = 0 ] || tail -n 30 "$work"/?/log
	rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

# --- two handsets, without discovery ----------------------------------------------
ctl() {
	local side=$1
	shift
	"$bin/personactl" -S "$work/$side/run/control.sock" "$@"
}
answers() { ctl "$1" list > /dev/null 2>&1; }
daemon_start() {
	mkdir -p "$work/$1"
	"$bin/personad" --state-dir "$work/$1/state" --runtime-dir "$work/$1/run" \
		-o libexec-dir="$bin" -o discovery=no -o listen=127.0.0.1 \
		--name "phone-$1" --port 0 2>> "$work/$1/log" &
	echo $! > "$work/$1/pid"
	await 10 answers "$1"
}
port() { sed -n 's/.* port \([0-9]*\), control.*/\1/p' "$work/$1/log" | tail -n 1; }

# refused_on SIDE PATTERN ARGUMENTS...: personactl fails and says something like that
refused_on() {
	local side=$1 pattern=$2
	shift 2
	refused "$1 on $side" "$pattern" ctl "$side" "$@" < /dev/null
}
id_of() { ctl "$1" show "$2" --json | sed -n 's/.*"id": *"\([0-9a-f]*\)".*/\1/p'; }
image() { echo "$work/$1/state/images/$(id_of "$1" "$2")"; }
same_image() {
	diff -r "$(image "$1" "$2")" "$(image "$3" "$4")"
}
# What there is on a side: image directories, helpers at work, names.
leftovers() {
	local side=$1 want=$2 images
	images=$(find "$work/$side/state/images" -mindepth 1 -maxdepth 1 | wc -l)
	[ "$images" = "$want" ]
}
idle() { [ -z "$(sync_pid "$1")" ]; }
sync_pid() {	# of the persona-sync of that side, if one is at work
	local pid
	for pid in $(cat /proc/"$(cat "$work/$1/pid")"/task/*/children 2>/dev/null); do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" = persona-sync ] && echo "$pid"
	done
}
at_work() { [ -n "$(sync_pid "$1")" ]; }

must "personad a" daemon_start a
must "personad b" daemon_start b
head -c 20000000 /dev/urandom > "$work/initrd"
yes 'a line that packs well' | head -c 3000001 > "$work/kernel"
# A disk that is mostly hole, with the same megabyte twice.
truncate -s 64M "$work/disk"
for at in 3 40; do
	dd if="$work/initrd" of="$work/disk" bs=1M count=1 seek=$at conv=notrunc 2>/dev/null
done
must "a persona is there" ctl a create work --kernel "$work/kernel" \
	--initrd "$work/initrd" --disk-image "$work/disk" --memory 64M --cpus 2 \
	--append "console=ttyS0 hello"

# --- there and back ------------------------------------------------------------------
f=$work/work.persona
must "it is exported" ctl a export work "$f" --plain
[ "$(stat -c %s "$f")" -lt 22000000 ] && ok "holes and repeats cost nothing" ||
	bad "$(stat -c %s "$f") bytes"
[ "$(stat -c %a "$f")" = 600 ] && ok "the file is private" || bad "mode $(stat -c %a "$f")"
must "it is imported" ctl b import "$f"
must "it is what it was" same_image a work b work
[ "$(stat -c %b "$(image b work)/disk0.img")" -lt 8192 ] &&
	ok "with the holes of its disk" || bad "the disk has no holes any more"
[ "$(ctl b show work --json | sed 's/.*"cmdline": *"\([^"]*\)".*/\1/')" = \
	"console=ttyS0 hello" ] && ok "with its command line" || bad "the command line"
[ "$(id_of a work)" != "$(id_of b work)" ] && ok "and is a persona of its own" ||
	bad "two personas have one id"
refused_on a 'is there already' export work "$f" --plain
refused_on b 'of that name already.*--name' import "$f"
refused_on b 'of that name already' import "$f" --name work
must "under another name" ctl b import "$f" --name second
cp "$f" "$work/kept"
refused_on a 'anybody can read' export work "$work/x" --plain --to phone-b
refused_on a 'is not a file|no such|No such' export work "$work/none/x" --plain
refused_on a 'no handset' export work "$work/x" --to nobody
[ ! -e "$work/x" ] && ok "no file after a refusal" || bad "$work/x is there"

piped() { ctl a export work - --plain | ctl b import - --name piped; }
must "through a pipe" piped
must "the same again" same_image a work b piped

# --- encrypted -----------------------------------------------------------------------
echo "correct horse battery" > "$work/word"
echo "another horse" > "$work/other"
must "with a passphrase" ctl a export work "$work/locked" -p "$work/word"
grep -q 'a line that packs' "$work/locked" && bad "it can be read"
must "which opens it" ctl b import "$work/locked" --name locked -p "$work/word"
must "to the same" same_image a work b locked
refused_on b 'is not the one' import "$work/locked" --name x -p "$work/other"
setsid -w "$bin/personactl" -S "$work/b/run/control.sock" import "$work/locked" \
	--name x < /dev/null > "$work/said" 2>&1 &&
	bad "opened without the passphrase"
grep -q 'encrypted with a passphrase' "$work/said" &&
	ok "without one it says so" || bad "it said: $(cat "$work/said")"
grep -rqF 'horse' "$work/a/log" "$work/b/log" && bad "the passphrase is in a log" ||
	ok "no log holds the passphrase"

pair() {
	local digits
	mkfifo "$work/yes-a" "$work/yes-b"
	ctl b pair < "$work/yes-b" > "$work/pair-b" 2>&1 &
	exec 7> "$work/yes-b"
	ctl a pair "127.0.0.1:$(port b)" < "$work/yes-a" > "$work/pair-a" 2>&1 &
	exec 8> "$work/yes-a"
	await 15 grep -Eq '[0-9]{3} ?[0-9]{3}' "$work/pair-a" &&
		await 15 grep -Eq '[0-9]{3} ?[0-9]{3}' "$work/pair-b" || return 1
	echo yes >&7
	echo yes >&8
	exec 7>&- 8>&-
	await 15 paired
}
paired() { ctl a peers --json | grep -q '"paired": *true'; }
must "the two are paired" pair
must "to a paired handset" ctl a export work "$work/sealed" --to phone-b
must "which opens it with its key" ctl b import "$work/sealed" --name sealed
must "to the same again" same_image a work b sealed
refused_on a 'for other handsets' import "$work/sealed" --name mine

# --- files that are not what they were ------------------------------------------------
changed() {	# changed FILE OFFSET: a copy with that byte's bits turned
	local byte
	cp "$1" "$work/changed"
	byte=$(od -An -tu1 -j "$2" -N1 "$1")
	printf "$(printf '\\%03o' $((byte ^ 64)))" |
		dd of="$work/changed" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
before=$(find "$work/b/state/images" -mindepth 1 -maxdepth 1 | wc -l)
size=$(stat -c %s "$f")
for at in 30 5000 3000000 $((size - 100)) $((size - 1)); do
	changed "$f" $at
	refused_on b 'damaged' import "$work/changed" --name x
done
changed "$work/locked" $((size - 4000000))
refused_on b 'damaged' import "$work/changed" --name x -p "$work/word"
head -c 4000000 "$f" > "$work/changed"
refused_on b 'ends too early' import "$work/changed" --name x
head -c 4000000 "$work/locked" > "$work/changed"
refused_on b 'ends too early' import "$work/changed" --name x -p "$work/word"
{ cat "$f"; echo; } > "$work/changed"
refused_on b 'goes on after its end' import "$work/changed" --name x
{ head -c 8 "$f"; printf '\011\000'; tail -c +11 "$f"; } > "$work/changed"
refused_on b 'newer version' import "$work/changed" --name x
refused_on b 'not a persona file' import "$work/initrd" --name x
refused_on b 'not a persona file' import "$work" --name x
must "nothing is left of them" await 5 leftovers b "$before"
cmp -s "$f" "$work/kept" || bad "an import changed its file"

# --- ends in the middle ----------------------------------------------------------------
# A pipe that is fed half and held open keeps an import where it is.
half_import() {
	rm -f "$work/pipe"
	mkfifo "$work/pipe"
	# A shell has its background jobs ignore Ctrl-C; a terminal does not.
	env --default-signal=INT "$bin/personactl" -S "$work/b/run/control.sock" \
		import "$work/pipe" --name half > "$work/half.out" 2>&1 &
	importer=$!
	exec 9> "$work/pipe"
	head -c 9000000 "$f" >&9
	await 10 in_the_middle
}
in_the_middle() { [ -n "$(find "$work/b/state/images" -name '*.new' -maxdepth 1)" ]; }
importer_gone() { ! kill -0 $importer 2>/dev/null; }

must "an import gets half way" half_import
kill -9 "$(sync_pid b)"
must "kill -9 of persona-sync ends it" await 5 importer_gone
grep -q 'has ended' "$work/half.out" || bad "it said: $(cat "$work/half.out")"
exec 9>&-
must "and leaves nothing" await 5 leftovers b "$before"

must "an import gets half way" half_import
kill -9 $importer
must "kill -9 of personactl ends it" await 5 idle b
exec 9>&-
must "and leaves nothing" await 5 leftovers b "$before"

must "an import gets half way" half_import
kill -INT $importer
must "Ctrl-C ends it" await 5 importer_gone
grep -q interrupted "$work/half.out" || bad "it said: $(cat "$work/half.out")"
exec 9>&-
must "and leaves nothing" await 5 leftovers b "$before"

must "an import gets half way" half_import
kill -9 "$(cat "$work/b/pid")"
must "kill -9 of personad ends it" await 5 importer_gone
exec 9>&-
must "personad comes back" daemon_start b
must "and has cleared up" await 5 leftovers b "$before"
ctl b list | grep -q half && bad "half a persona is listed"

# A reader that does not read keeps an export where it is.
half_export() {
	rm -f "$work/pipe"
	mkfifo "$work/pipe"
	"$bin/personactl" -S "$work/a/run/control.sock" \
		export work "$work/pipe" --plain > "$work/half.out" 2>&1 &
	exporter=$!
	exec 9< "$work/pipe"
	await 10 at_work a
}
exporter_gone() { ! kill -0 $exporter 2>/dev/null; }
must "an export gets half way" half_export
refused_on a 'being exported' delete work --yes
refused_on a 'being exported' start work
kill -9 $exporter
must "kill -9 of personactl ends it" await 5 idle a
exec 9<&-
must "an export gets half way" half_export
exec 9<&-
must "a reader that goes away ends it" await 5 exporter_gone
grep -q 'has gone' "$work/half.out" || bad "it said: $(cat "$work/half.out")"

# --- full disks --------------------------------------------------------------------------
small_disk() {
	mkdir -p "$1"
	mount -t tmpfs -o size=8M,mode=700 persona "$1" 2>/dev/null &&
		mounted="$mounted $1"
}
if small_disk "$work/stick"; then
	refused_on a 'no room' export work "$work/stick/w.persona" --plain
	[ -z "$(ls -A "$work/stick")" ] && ok "a full stick stays empty" ||
		bad "left on the stick: $(ls -A "$work/stick")"
	kill "$(cat "$work/b/pid")"
	await 5 test ! -e "/proc/$(cat "$work/b/pid")"
	small_disk "$work/b2/state"
	must "a handset with little room" daemon_start b2
	refused_on b2 'MiB on disk, and' import "$f"
	must "keeps nothing of it" leftovers b2 0
	kill "$(cat "$work/b2/pid")"
	must "the other one again" daemon_start b
else
	echo "not tried: a full disk (only root mounts one)"
fi

must "after all that it is still what it was" same_image a work b work
must "and can go" ctl a delete work --yes

[ $failures = 0 ]

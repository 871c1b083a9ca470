#!/bin/bash
# SPDX-License-Identifier: ISC
# Story: one personad and its personas. Create, start, console, pause, stop; kill -9
# of persona-vmm is noticed and recorded; kill -9 of personad leaves the guest
# running and a restart finds it, memory and all. Invariants 1, 4, 7.
set -u

. "${srcdir:-$(dirname "$0")/..}/tests/lib/daemon.sh"

# As where /var has been moved to a larger disk.
mkdir -m 700 "$work/elsewhere"
ln -s elsewhere "$work/state"
must "personad starts, its state behind a symbolic link" start_daemon
must "a persona is created" ctl create work --kernel "$guest" --memory 64M \
	--append "beat=100 rate=1M hot=8M"
mustnot "its name is taken then" ctl create work --kernel "$guest" --memory 64M \
	2>/dev/null
mustnot "a kernel that is not there is refused" ctl create other \
	--kernel "$work/none" --memory 64M 2>/dev/null
mustnot "a stopped persona has no console" ctl console work < /dev/null 2>/dev/null
must "it starts" ctl start work
must "it is running" state_is work running
mustnot "it does not start twice" ctl start work 2>/dev/null
mustnot "it is not deleted while it runs" ctl delete work --yes 2>/dev/null
must "the console carries its beat" await 10 beats work

must "it is paused" ctl pause work
must "paused is what it is" state_is work paused
# A new console may show again what was said before; nothing new comes.
before=$(beat_value "$(last_beat work)" n)
after=$(beat_value "$(last_beat work)" n)
[ "$before" = "$after" ] && ok "a paused guest is silent" ||
	bad "a paused guest is silent: $before, then $after"
must "it is resumed" ctl resume work
must "it beats again" await 10 beats work

# --- personad dies ----------------------------------------------------------------
vmm=$(field work vmm_pid)
before=$(beat_value "$(last_beat work)" n)
kill -9 "$daemon"
wait "$daemon" 2>/dev/null
mustnot "without personad nobody answers" answers
must "personad's death leaves the guest alone" kill -0 "$vmm"
must "personad starts again" start_daemon
must "it finds its guest" state_is work running
[ "$(field work vmm_pid)" = "$vmm" ] && ok "the very same process" ||
	bad "the very same process"
await 10 beats work
beat=$(last_beat work)
after=$(beat_value "$beat" n)
[ "${after:-0}" -gt "${before:-0}" ] && ok "which went on in between" ||
	bad "which went on in between: $before, $after"
[ "$(beat_value "$beat" bad)" = 0 ] && ok "with its memory right" ||
	bad "with its memory right: $beat"

# --- personad leaves as it is asked ------------------------------------------------
kill "$daemon"
wait "$daemon"
[ $? = 0 ] && ok "SIGTERM ends personad well" || bad "SIGTERM ends personad well"
must "and leaves the guest" kill -0 "$vmm"
must "it starts again" start_daemon
must "and finds it again" state_is work running

# --- persona-vmm dies --------------------------------------------------------------
kill -9 "$vmm"
must "the crash is noticed" await 10 state_is work crashed
ctl show work | grep -q 'persona-vmm ended unexpectedly' && ok "and told with its cause" ||
	bad "and told with its cause"
must "it can be started anew" ctl start work
must "and runs" await 10 beats work

# --- both die -----------------------------------------------------------------------
vmm=$(field work vmm_pid)
kill -9 "$daemon"
wait "$daemon" 2>/dev/null
kill -9 "$vmm"
await 5 gone "$vmm"
must "personad starts after both died" start_daemon
must "and says that the persona crashed" state_is work crashed

# --- persona-vmm dies as it is made ---------------------------------------------------
mkdir "$work/lib"
printf '#!/bin/sh\nexec sleep 0.2\n' > "$work/lib/persona-vmm"
chmod +x "$work/lib/persona-vmm"
kill "$daemon"
wait "$daemon"
must "personad starts beside a persona-vmm that cannot live" \
	start_daemon "$work/lib"
mustnot "then nothing starts" ctl start work 2>/dev/null
must "personad has survived that" answers
must "and the persona is stopped" state_is work stopped
kill "$daemon"
wait "$daemon"
[ $? = 0 ] && ok "it leaves well" || bad "it leaves well"
must "personad starts with the right one" start_daemon

# --- the end -------------------------------------------------------------------------
must "it starts once more" ctl start work
must "stop ends it" ctl stop work
must "and it is stopped" state_is work stopped
must "it is deleted" ctl delete work --yes
mustnot "and gone" ctl show work 2>/dev/null
[ -z "$(ls "$work/state/images")" ] && ok "with its files" || bad "with its files"
[ -z "$(ls "$runtime/vmm")" ] && ok "and its sockets" || bad "and its sockets"

# --- more than fit into one reply -----------------------------------------------------
made=
for i in $(seq -w 20); do
	ctl create "many-$i" --kernel "$guest" --memory 64M > /dev/null || break
	made="$made many-$i"
done
must "twenty personas are listed, in order" [ "$(ctl list --names | xargs)" = \
	"$(echo $made | xargs)" ]
must "and each has its row" [ "$(ctl list --json | grep -o '"name"' | wc -l)" = 20 ]

# --- who may ask ----------------------------------------------------------------------
if [ "$(id -u)" = 0 ] && command -v setpriv > /dev/null; then
	chmod 755 "$runtime"
	chmod 666 "$runtime/control.sock"
	cp "$bin/personactl" "$runtime/ctl"
	chmod 755 "$runtime/ctl"
	mustnot "a stranger is not served" setpriv --reuid 65534 --regid 65534 \
		--clear-groups "$runtime/ctl" -S "$runtime/control.sock" list \
		> /dev/null 2>&1
fi

echo "it_daemon: $failures failures"
[ "$failures" = 0 ]

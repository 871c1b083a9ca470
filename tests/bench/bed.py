# SPDX-License-Identifier: ISC
"""The test bed as the benchmark sees it: two handsets, one link, one observer.

Wraps tests/lib/handsets.sh; knows nothing of who moves what.
"""

import os
import re
import selectors
import shlex
import subprocess
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
HANDSETS = os.path.join(HERE, "..", "lib", "handsets.sh")
# The shell that clears away puts back what it found, however we end.
SHELL = """
shares=/proc/sys/kernel/sched_autogroup_enabled
put_back=
even_shares() {
	[ -e $shares ] || { echo "none here"; return; }
	[ $(cat $shares) != 0 ] || { echo "off, as found"; return; }
	put_back=$(cat $shares)
	echo 0 2>/dev/null > $shares && { echo off; return; }
	put_back=
	echo "on, and cannot be turned off"
}
bed_down() {
	[ -z "$put_back" ] || echo $put_back > $shares
	handsets_down
}
trap bed_down EXIT
while read -r line; do
	eval "$line" < /dev/null
	echo "= $?"
done
"""
os.environ["PATH"] += ":/usr/sbin:/sbin"
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class BedError(Exception):
    """This machine cannot, or the bed broke."""


class Bed:
    """Two namespaces, "a" and "b". A shell holds them; when we die, it sees the
    end of its input and clears them away."""

    def __init__(self, full=False):
        self.shell = subprocess.Popen(
            ["bash", "-c", ". %s; " % shlex.quote(HANDSETS) + SHELL],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True)   # a Ctrl-C is ours to translate
        status, why = self.ask("(handsets_need)")
        if status:
            self.close()
            raise BedError(why.strip())
        if self.ask("handsets_up none %s" % ("" if full else "bare"))[0]:
            self.close()
            raise BedError("the two handsets did not come up")
        self.owner = self.ask("echo $HANDSETS_OWNER")[1].strip()
        self.addrs = {s: self.ask("handset_addr " + s)[1].strip() for s in "ab"}
        self.dirs = {s: self.ask("handset_dir " + s)[1].strip() for s in "ab"}

    def ask(self, command):
        """Run a line of shell in the bed: (status, output)."""
        self.shell.stdin.write(command + "\n")
        self.shell.stdin.flush()
        out = []
        for line in self.shell.stdout:
            if line.startswith("= "):
                return int(line[2:]), "".join(out)
            out.append(line)
        raise BedError("the bed's shell died at: " + command)

    def even_shares(self):
        """Take the scheduler's autogroups away for what is started from now on, until
        the bed is closed. What came of it, in a word or two."""
        return self.ask("even_shares")[1].strip()

    def rate(self, mbit):
        """Shape the link, both directions; None: unlimited."""
        word = "none" if mbit is None else "%gmbit" % mbit
        if self.ask("link_rate " + word)[0]:
            raise BedError("no link of " + word)

    def link_bytes(self):
        """What the link has carried in both directions, by a's interface."""
        return int(self.ask("link_bytes a")[1])

    def addr(self, side):
        return self.addrs[side]

    def dir(self, side):
        return self.dirs[side]

    def ns(self, side):
        return "persona-%s-%s" % (self.owner, side)

    def pids(self, side):
        """Everything that runs on a handset."""
        return [int(word) for word in self.ask("handset_pids " + side)[1].split()]

    def start(self, side, argv, **kw):
        """Start argv on a handset; a subprocess.Popen."""
        env = dict(os.environ, PERSONA_HANDSET=self.ns(side),
                   DBUS_SYSTEM_BUS_ADDRESS="unix:path=%s/bus"
                   % self.dir(side))
        return subprocess.Popen(
            ["ip", "netns", "exec", self.ns(side)] + argv, env=env, **kw)

    def close(self):
        self.shell.stdin.close()
        self.shell.wait()


class Witness(threading.Thread):
    """Watches what a guest prints on several sockets and notes when each byte was
    seen. The guest ticks every few ms; the longest silence is the blackout."""

    def __init__(self):
        super().__init__(daemon=True)
        self.selector = selectors.DefaultSelector()
        self.lock = threading.Lock()
        self.seen = []      # (time, source)
        self.text = {}      # source -> str
        self.running = True
        self.start()

    def add(self, source, sock):
        sock.setblocking(False)
        with self.lock:
            self.text.setdefault(source, "")
        self.selector.register(sock, selectors.EVENT_READ, source)

    def run(self):
        while self.running:
            for key, _ in self.selector.select(0.05):
                try:
                    data = key.fileobj.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    self.selector.unregister(key.fileobj)
                    continue
                with self.lock:
                    self.seen.append((time.monotonic(), key.data))
                    self.text[key.data] += data.decode("ascii", "replace")

    def stop(self):
        self.running = False
        self.join()

    def await_text(self, source, pattern, seconds):
        """The match, or None in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with self.lock:
                found = re.search(pattern, self.text.get(source, ""), re.M)
            if found:
                return found
            time.sleep(0.02)
        return None

    def first(self, source):
        with self.lock:
            return next((t for t, s in self.seen if s == source), None)

    def longest_silence(self, start, end):
        """Seconds, between two moments."""
        with self.lock:
            times = [t for t, _ in self.seen if start <= t <= end]
        gaps = [b - a for a, b in zip(times, times[1:])]
        return max(gaps) if gaps else end - start


def comm(pid):
    """A process's name, "" when it is gone."""
    try:
        with open("/proc/%d/comm" % pid) as f:
            return f.read().strip()
    except OSError:
        return ""


def children(pid):
    """Its children, those among them that ended and wait to be taken in."""
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(word) for word in f.read().split()]
    except OSError:
        return []


def _ticks(path):
    """utime, stime, and those of ended children, in seconds."""
    with open(path) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return [int(x) / TICKS_A_SECOND for x in fields[11:15]]


def thread_seconds(pid, names):
    """CPU time of those threads of a process whose name matches."""
    total = 0.0
    try:
        for tid in os.listdir("/proc/%d/task" % pid):
            path = "/proc/%d/task/%s/" % (pid, tid)
            with open(path + "comm") as f:
                if re.search(names, f.read()):
                    total += sum(_ticks(path + "stat")[:2])
    except (OSError, ValueError):
        pass    # it ended meanwhile
    return total


def cpu_seconds(pid, without=None):
    """CPU time a process and its ended children have used; leaves out threads whose
    name matches `without` (the guest's own processors)."""
    try:
        total = sum(_ticks("/proc/%d/stat" % pid))
    except (OSError, ValueError):
        return 0.0
    return total - (thread_seconds(pid, without) if without else 0.0)

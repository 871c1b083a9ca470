# SPDX-License-Identifier: ISC
"""persona as a side of the benchmark: two personads from the build directory, paired,
and personactl as a person would use it. Knows only what the manual pages say.
"""

import json
import os
import re
import socket
import subprocess
import threading
import time

import bed as bedmod
from sides import Side, SideError

NAME = "bench"
PORT = 7275
# Whose CPU time counts; a watching personactl's does not.
PROGRAMS = r"^(personad|persona-vmm|persona-sync|persona-gate|persona-pair|sshd)"
VCPU_THREADS = r"vcpu"
CONSOLE_LOOK_S = 0.01
CONSOLE_AGAIN_S = 0.1       # asking is a program each time, and the move pays for it


class Persona(Side):
    name = "persona"

    def __init__(self):
        self.personad, self.consoles, self.serial = {}, [], {}
        self.vcpu_seen = {"a": {}, "b": {}}     # pid -> seconds
        self.mover = None
        self.stopping = False

    def start(self, bed, case, witness, work):
        self.bed, self.case, self.witness, self.work = bed, case, witness, work
        for side in "ab":
            self._personad(side)
        self._pair()
        self._ctl("a", "create", NAME, "--kernel", case.guest, "--append",
                  case.cmdline, "--memory", "%dM" % case.mem_mb,
                  "--cpu", "x86-64-v1", "--start")
        if not self._console("a", 10):
            raise SideError("no console on a: " + self._log("a"))

    # -- the two handsets

    def _path(self, side, *more):
        return os.path.join(self.work, side, *more)

    def _log(self, side):
        """The last thing this side's personad said."""
        with open(self._path(side, "personad.log"), errors="replace") as f:
            return (f.read().strip().splitlines() or ["nothing"])[-1]

    def _personad(self, side):
        os.makedirs(self._path(side))
        with open(self._path(side, "personad.log"), "w") as log:
            self.personad[side] = self.bed.start(side, [
                os.path.join(self.case.build, "personad"),
                "--state-dir", self._path(side, "state"),
                "--runtime-dir", self._path(side, "run"),
                "--name", "bench-" + side, "--port", str(PORT),
                "-o", "libexec-dir=" + self.case.build,
                "-o", "discovery=no"], stdout=log, stderr=log)
        end = time.monotonic() + 10
        while not os.path.exists(self._path(side, "run", "control.sock")):
            if time.monotonic() > end or self.personad[side].poll() is not None:
                raise SideError("personad did not start: " + self._log(side))
            time.sleep(0.02)

    def _ctl_argv(self, side, *words):
        return [os.path.join(self.case.build, "personactl"), "-S",
                self._path(side, "run", "control.sock"), *words]

    def _ctl(self, side, *words):
        p = self.bed.start(side, self._ctl_argv(side, *words), text=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT)
        out = p.communicate()[0]
        if p.returncode != 0:
            raise SideError("%s: %s" % (words[0], out.strip()))
        return out

    # -- pairing: both persons look at six digits and say yes

    def _pair(self):
        words = {"b": ["pair", "--json"],
                 "a": ["pair", "%s:%d" % (self.bed.addr("b"), PORT), "--json"]}
        ask = {}
        for side in "ba":
            ask[side] = self.bed.start(
                side, self._ctl_argv(side, *words[side]), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT)
        digits = {side: self._digits(p) for side, p in ask.items()}
        if digits["a"] != digits["b"]:
            raise SideError("pairing: %(a)s and %(b)s differ" % digits)
        for p in ask.values():
            p.stdin.write("y\n")
            p.stdin.flush()
        for p in ask.values():
            out = p.communicate()[0]
            if p.returncode != 0:
                raise SideError("pair: " + out.strip())

    @staticmethod
    def _digits(p):
        said = ""
        for line in p.stdout:
            said = line.strip()
            step = json.loads(line) if line.startswith("{") else {}
            if step.get("step") == "compare":
                return step["digits"]
        raise SideError("pairing ended early: " + said)

    # -- the serial line

    def _console(self, side, seconds):
        """Join the console as soon as there is one, again when it is lost, until
        the guest is heard. False: not in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.stopping:
            ours, theirs = socket.socketpair()
            p = self.bed.start(side, self._ctl_argv(side, "console", NAME),
                               stdin=theirs, stdout=theirs,
                               stderr=subprocess.DEVNULL)
            theirs.close()
            self.consoles.append(p)
            self.serial[side] = ours
            self.witness.add(side, ours)
            while p.poll() is None and time.monotonic() < end:
                if self.stopping or self.witness.first(side):
                    return not self.stopping
                time.sleep(CONSOLE_LOOK_S)
            p.kill()
            p.wait()
            time.sleep(CONSOLE_AGAIN_S)
        return False

    def type_b(self, text):
        self.serial["b"].send(text.encode())

    # -- moving

    def move(self):
        with open(self._path("a", "move.json"), "w") as out:
            self.mover = self.bed.start("a", self._ctl_argv(
                "a", "move", NAME, "bench-b", "--json"),
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        # b's console is there from when the persona begins to arrive.
        self.watcher = threading.Thread(
            target=self._console, args=("b", self.case.deadline_s), daemon=True)
        self.watcher.start()

    def moved(self):
        for pid in self.vcpu_seen["a"]:     # it takes its figures with it
            self._see_vcpus("a", pid)
        status = self.mover.poll()
        if status is None:
            return None
        if status == 0:
            return True
        return self._move_report().get("message", "personactl ended with %d"
                                       % status)

    def _move_report(self):
        with open(self._path("a", "move.json"), errors="replace") as f:
            lines = f.read().strip().splitlines()
        return json.loads(lines[-1]) if lines and lines[-1][0] == "{" else {}

    def says(self):
        """The last line of move --json: what persona itself says of it."""
        return self._move_report().get("move")

    # -- what it costs

    def settled(self):
        # The time of a child that ended is nobody's until its parent has taken
        # it in; afterwards a has no child left but those that stay, b has the
        # persona, too.
        return (not self._workers("a") and
                self._workers("b") == ["persona-vmm"])

    def _workers(self, side):
        """What personad started for a persona; discovery is there all the time."""
        return [comm for comm in map(
            bedmod.comm, bedmod.children(self.personad[side].pid))
                if comm != "persona-mdns"]

    def cpu(self):
        return {side: self._cpu(side) for side in self.personad}

    def _cpu(self, side):
        total = 0.0
        for pid in self.bed.pids(side):
            comm = bedmod.comm(pid)
            if not re.search(PROGRAMS, comm):
                continue
            total += bedmod.cpu_seconds(pid)
            if comm.startswith("persona-vmm"):
                self._see_vcpus(side, pid)
        # An ended vmm's time has gone into its parent's; its vCPUs' with it.
        return total - sum(self.vcpu_seen[side].values())

    def _see_vcpus(self, side, pid):
        now = bedmod.thread_seconds(pid, VCPU_THREADS)
        self.vcpu_seen[side][pid] = max(now, self.vcpu_seen[side].get(pid, 0))

    def stop(self):
        self.stopping = True
        for p in self.consoles + ([self.mover] if self.mover else []):
            if p.poll() is None:
                p.kill()
            p.wait()
        for s in self.serial.values():
            s.close()
        # Guests outlive their personad on purpose; so whoever is left goes too.
        for side, p in self.personad.items():
            p.kill()
            p.wait()
            for pid in self.bed.pids(side):
                if re.search(PROGRAMS, bedmod.comm(pid)):
                    try:
                        os.kill(pid, 9)
                    except OSError:
                        pass

# SPDX-License-Identifier: ISC
"""Who can move the guest: one class a side.

A side is given the bed and a case and moves the guest once from handset a to b.
To add one: subclass Side, write the methods, add it to SIDES in bench-move.
The benchmark drives them in this order:

    start(bed, case, witness, work)
        Boot case.guest with case.cmdline and case.mem_mb on a, and have b ready.
        Give the guest's serial output to witness: add("a", sock) and
        add("b", sock); input typed at b goes through type_b(). Do not wait
        for the guest to be ready.
    move()          Ask for the move; return at once.
    moved()         None while it goes on, True when the mover says it is over,
                    or a sentence (str) when it has failed.
    settled()       True when every process that ended has been accounted for.
    cpu()           {"a": seconds, "b": seconds} used so far on each handset, all
                    processes of the mover, without the guest's own vCPU threads.
    says()          What the mover itself says of the move, for --json only.
    stop()          End everything; also after a failed start.
"""

import json
import os
import socket
import time

import bed as bedmod


class SideError(Exception):
    """The side could not be started."""


class Side:
    name = "?"

    def usable(self):
        """None, or why this side cannot be measured here."""
        return None

    def start(self, bed, case, witness, work):
        raise NotImplementedError

    def move(self):
        raise NotImplementedError

    def moved(self):
        raise NotImplementedError

    def type_b(self, text):
        raise NotImplementedError

    def cpu(self):
        raise NotImplementedError

    def settled(self):
        return True

    def says(self):
        return None

    def stop(self):
        raise NotImplementedError


class Qmp:
    """QEMU's monitor, as little of it as is needed."""

    def __init__(self, path):
        self.sock = connect(path)
        self.file = self.sock.makefile("r")
        json.loads(self.file.readline())
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.sock.sendall(json.dumps(
            {"execute": command, "arguments": arguments}).encode())
        while True:
            line = self.file.readline()
            if not line:
                raise SideError("QEMU closed its monitor")
            answer = json.loads(line)
            if "error" in answer:
                raise SideError("%s: %s" % (command, answer["error"]["desc"]))
            if "return" in answer:
                return answer["return"]


def connect(path, seconds=10):
    """A stream connection to a Unix socket that is about to be there."""
    end = time.monotonic() + seconds
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(path)
            return sock
        except OSError:
            sock.close()
            if time.monotonic() > end:
                raise SideError("nobody listens on " + path)
            time.sleep(0.02)


class Qemu(Side):
    """QEMU 7.2's pre-copy migration over TCP."""

    PORT = 4444
    VCPU_THREADS = r"^CPU "

    def __init__(self, name, capabilities=(), **parameters):
        self.name = name
        self.capabilities = capabilities
        # As default, but for the speed limit of 1 Gbit/s, which would be ours.
        self.parameters = dict({"max-bandwidth": 10 << 30}, **parameters)
        self.qemu, self.qmp, self.serial = {}, {}, {}

    def usable(self):
        for path in os.environ["PATH"].split(":"):
            if os.access(path + "/qemu-system-x86_64", os.X_OK):
                return None
        return "qemu-system-x86_64 is not installed"

    def _boot(self, side, *more):
        monitor = os.path.join(self.work, side + ".qmp")
        serial = os.path.join(self.work, side + ".serial")
        with open(os.path.join(self.work, side + ".log"), "w") as log:
            self.qemu[side] = self.bed.start(side, [
                "qemu-system-x86_64", "-name", "bench,debug-threads=on",
                "-enable-kvm", "-cpu", "kvm64", "-m", str(self.case.mem_mb),
                "-nodefaults", "-vga", "none", "-display", "none",
                "-no-reboot", "-kernel", self.case.guest,
                "-append", self.case.cmdline,
                "-qmp", "unix:%s,server=on,wait=off" % monitor,
                "-serial", "unix:%s,server=on,wait=on" % serial,
                *more], stdout=log, stderr=log)
        # QEMU waits for the serial line, and opens its monitor afterwards.
        self.serial[side] = connect(serial)
        self.witness.add(side, self.serial[side])
        self.qmp[side] = Qmp(monitor)
        for name in self.capabilities:
            self.qmp[side].ask("migrate-set-capabilities", capabilities=[
                {"capability": name, "state": True}])
        self.qmp[side].ask("migrate-set-parameters", **self.parameters)

    def start(self, bed, case, witness, work):
        self.bed, self.case, self.witness, self.work = bed, case, witness, work
        self._boot("a")
        self._boot("b", "-incoming", "defer")
        self.qmp["b"].ask("migrate-incoming",
                          uri="tcp:%s:%d" % (bed.addr("b"), self.PORT))

    def move(self):
        self.qmp["a"].ask("migrate", uri="tcp:%s:%d"
                          % (self.bed.addr("b"), self.PORT))

    def moved(self):
        if self.qemu["b"].poll() is not None:
            return "QEMU died on b"
        info = self.qmp["a"].ask("query-migrate")
        if info.get("status") == "completed":
            return True
        if info.get("status") in ("failed", "cancelled"):
            return info.get("error-desc", info["status"])
        return None

    def type_b(self, text):
        self.serial["b"].send(text.encode())

    def cpu(self):
        return {side: bedmod.cpu_seconds(p.pid, self.VCPU_THREADS)
                for side, p in self.qemu.items()}

    def stop(self):
        for p in self.qemu.values():
            p.kill()
            p.wait()
        for s in self.serial.values():
            s.close()

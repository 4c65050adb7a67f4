"""Emulated phones for tests: one in this process, its shell called directly, or several in a process of their own."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from devicelab.drivers.appium.server import free_port
from devicelab.emulator.clock import PhoneClock
from devicelab.emulator.commands import COMMANDS
from devicelab.emulator.control import ask
from devicelab.emulator.phone import EmulatedPhone, Phone
from devicelab.emulator.shell import Shell, Streams
from devicelab.protocols import SystemClock

FAST = 1000.0


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    err: str


def phone(speed=FAST, **config):
    return Phone(EmulatedPhone(serial="ZY322TEST1", **config), PhoneClock(SystemClock(), speed))


async def shell(subject, text, stdin=b""):
    out, err = bytearray(), bytearray()
    reader = asyncio.StreamReader(limit=1 << 30)
    reader.feed_data(stdin)
    reader.feed_eof()

    async def to_out(data):
        out.extend(data)

    async def to_err(data):
        err.extend(data)

    status = await Shell(subject, COMMANDS).run(text, Streams(reader, to_out, to_err))
    return Said(status, out.decode(), err.decode())


async def until(condition):
    """Return when *condition* holds: what it waits for happens in this event loop."""
    for _ in range(20_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("waited in vain")


def say(subject, text, stdin=b""):
    return asyncio.run(shell(subject, text, stdin))


def free_row(count):
    """Return the first of *count* free ports in a row."""
    ports = [free_port() for _ in range(count)]
    while ports[-1] - ports[0] != count - 1:
        ports = [*ports[1:], free_port()]
    return ports[0]


class Emulator:
    """``fer-lab emulate`` in a process of its own, on free ports that stay a phone's while it is unplugged."""

    def __init__(self, android: str = "9", phones: int = 1, speed: float = 1.0) -> None:
        command = [sys.executable, "-c", "from devicelab.cli import main; main()", "emulate", "--json"]
        command += ["--phones", str(phones), "--port", str(free_row(phones)), "--control-port", str(free_port())]
        command += ["--android", android, "--speed", str(speed)]
        path = os.pathsep.join(part for part in sys.path if part)
        environment = {**os.environ, "PYTHONPATH": path}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        where = json.loads(self.process.stdout.readline())
        self.control = where["control"]
        self.serials = [phone["serial"] for phone in where["phones"]]
        self.udids = [phone["udid"] for phone in where["phones"]]

    def order(self, what: str, phone: int = 0, when: str = "now") -> dict[str, Any]:
        return ask(self.control, do=what, phone=self.serials[phone], when=when)

    def states(self) -> list[dict[str, Any]]:
        return ask(self.control, do="state")["phones"]

    def trace(self, phone=0):
        return ask(self.control, do="trace", phone=self.serials[phone])["trace"]

    def close(self):
        self.process.terminate()
        self.process.communicate()
        return self.process.returncode

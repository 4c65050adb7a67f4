"""Emulated phones for tests: one in this process, its shell called directly, or one behind real adb."""

import asyncio
from dataclasses import dataclass

from devicelab.emulator.clock import PhoneClock
from devicelab.emulator.commands import COMMANDS
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


def say(subject, text, stdin=b""):
    return asyncio.run(shell(subject, text, stdin))

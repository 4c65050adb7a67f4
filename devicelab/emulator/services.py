"""The services that the host opens by name: ``shell``, ``exec``, ``sync``, ``tcp``, ... (AOSP: SERVICES.TXT)."""

import asyncio
import struct
from collections.abc import Mapping

from devicelab.emulator.phone import Phone
from devicelab.emulator.shell import Program, Shell, Sink, Streams
from devicelab.emulator.sync import serve_sync
from devicelab.emulator.transport import Serve, Stream
from devicelab.emulator.uia2 import PORT, serve_http

_PACKET = struct.Struct("<BI")
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = 0, 1, 2, 3, 4
"""Kinds of packets of the second shell protocol (AOSP: shell_protocol.h)."""


def services(phone: Phone, table: Mapping[str, Program]) -> Serve:
    """Return what answers the streams of *phone*, whose shell knows the commands of *table*."""

    async def serve(stream: Stream) -> None:
        phone.trace.append(stream.service)
        name, _, argument = stream.service.partition(":")
        if name == "tcp":
            if argument == str(PORT) and phone.uia2.running:
                await stream.accept()
                await serve_http(phone, stream.reader, stream.write)
            return
        await stream.accept()
        if name.startswith("shell") or name == "exec":
            await _shell(phone, table, stream, argument, second="v2" in name.split(","))
        elif name == "sync":
            await serve_sync(phone, stream.reader, stream.write)
        elif name in _ANSWERS:
            await stream.write(_ANSWERS[name])
        elif name == "reboot":
            await _reboot(phone, stream)
        else:
            phone.unknown.append(f"service {stream.service}")

    return serve


_ANSWERS = {
    "root": b"adbd cannot run as root in production builds\n",
    "unroot": b"adbd not running as root\n",
    "remount": b'Not running as root. Try "adb root" first.\n',
}


async def _reboot(phone: Phone, stream: Stream) -> None:
    await stream.close()
    if phone.on_fault:
        await phone.on_fault("reboot")


async def _shell(phone: Phone, table: Mapping[str, Program], stream: Stream, text: str, *, second: bool) -> None:
    """Run *text*; in the *second* protocol with separate streams and an exit status."""
    shell = Shell(phone, table)
    if not second:
        await shell.run(text, Streams(stream.reader, stream.write, stream.write))
        return
    stdin = asyncio.StreamReader(limit=1 << 30)
    pump = asyncio.ensure_future(_pump(stream.reader, stdin))
    try:
        status = await shell.run(text, Streams(stdin, _framed(stream, STDOUT), _framed(stream, STDERR)))
        await stream.write(_PACKET.pack(EXIT, 1) + bytes([status & 255]))
    finally:
        pump.cancel()


def _framed(stream: Stream, kind: int) -> Sink:
    async def write(data: bytes) -> None:
        if data:
            await stream.write(_PACKET.pack(kind, len(data)) + data)

    return write


async def _pump(source: asyncio.StreamReader, stdin: asyncio.StreamReader) -> None:
    """Unpack what the host types into *stdin*."""
    try:
        while True:
            kind, length = _PACKET.unpack(await source.readexactly(_PACKET.size))
            data = await source.readexactly(length)
            if kind == STDIN:
                stdin.feed_data(data)
            elif kind == CLOSE_STDIN:
                break
    except asyncio.IncompleteReadError:
        pass
    stdin.feed_eof()

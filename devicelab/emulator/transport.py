"""adb's transport from the phone's side: packets, streams, and one connection to a host (AOSP: adb's protocol.txt).

A packet is six u32 (command, two arguments, length, checksum, command with all bits flipped) and its data. A stream is
opened by the host with the name of a service; each WRTE is acknowledged by OKAY before the next one. From version
0x01000001 on nobody checks checksums.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

CNXN, OPEN, OKAY, CLSE, WRTE, AUTH = (
    int.from_bytes(name, "little") for name in (b"CNXN", b"OPEN", b"OKAY", b"CLSE", b"WRTE", b"AUTH")
)
VERSION = 0x01000001
OLD_VERSION = 0x01000000
HEADER = struct.Struct("<6I")
AUTH_TOKEN, AUTH_SIGNATURE = 1, 2
TOKEN_BYTES = 20


class StreamClosedError(ConnectionError):
    """The host closed the stream, or is gone."""


class Stream:
    """One open service: bytes in by ``reader``, bytes out by :meth:`write`."""

    def __init__(self, connection: "Connection", local: int, remote: int, service: str) -> None:
        self.service = service
        self.reader = asyncio.StreamReader(limit=1 << 30)
        self.local = local
        self.remote = remote
        self.closed = False
        self.accepted = False
        self.acknowledged = asyncio.Event()
        self._connection = connection
        self._one_at_a_time = asyncio.Lock()

    async def accept(self) -> None:
        """Tell the host that the service is open."""
        self.accepted = True
        await self._connection.send(OKAY, self.local, self.remote)

    async def write(self, data: bytes) -> None:
        """Send *data* and return when the host has taken it.

        Raises:
            StreamClosedError: it never will.
        """
        async with self._one_at_a_time:
            for start in range(0, len(data), self._connection.max_payload):
                self.acknowledged.clear()
                piece = data[start : start + self._connection.max_payload]
                if not self.closed:
                    await self._connection.send(WRTE, self.local, self.remote, piece)
                    await self.acknowledged.wait()
                if self.closed:
                    raise StreamClosedError(self.service)

    async def close(self) -> None:
        """Close it from the phone's side, or refuse it if it was not accepted; nothing happens if it is closed.

        A refusal has no number of ours (AOSP: protocol.txt); adb's server ignores one that has and waits for ever.
        """
        if not self.closed:
            self.forget()
            with suppress(ConnectionError):
                await self._connection.send(CLSE, self.local if self.accepted else 0, self.remote)

    def forget(self) -> None:
        """Take note that it is closed."""
        self.closed = True
        self.acknowledged.set()
        self.reader.feed_eof()
        self._connection.streams.pop(self.local, None)


Serve = Callable[[Stream], Awaitable[None]]
"""Answers a stream until it is done; the connection accepts and closes nothing by itself."""


class Connection:
    """One host. *serve* answers its streams, *banner* says who the phone is.

    *authorized* says whether the host's key is accepted, *tokens* makes the random challenge of AUTH; while *thawed* is
    unset nothing is read or sent.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        serve: Serve,
        banner: str,
        max_payload: int,
        authorized: Callable[[], bool],
        tokens: Callable[[int], bytes],
        thawed: asyncio.Event,
    ) -> None:
        self.streams: dict[int, Stream] = {}
        self.max_payload = max_payload
        self._reader = reader
        self._writer = writer
        self._serve = serve
        self._banner = banner
        self._authorized = authorized
        self._tokens = tokens
        self._thawed = thawed
        self._last = 0
        self._signatures = 0
        self._version = OLD_VERSION
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Answer the host until it leaves."""
        try:
            while True:
                command, first, second, length, _, _ = HEADER.unpack(await self._reader.readexactly(HEADER.size))
                data = await self._reader.readexactly(length)
                await self._thawed.wait()
                await self._packet(command, first, second, data)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._end()

    def drop(self) -> None:
        """Break the connection."""
        self._writer.transport.abort()

    async def send(self, command: int, first: int, second: int, data: bytes = b"") -> None:
        """Send one packet."""
        await self._thawed.wait()
        checksum = sum(data) & 0xFFFFFFFF if self._version < VERSION else 0
        header = HEADER.pack(command, first, second, len(data), checksum, command ^ 0xFFFFFFFF)
        self._writer.write(header + data)
        await self._writer.drain()

    async def _packet(self, command: int, first: int, second: int, data: bytes) -> None:
        if command == CNXN:
            await self._greet(first, second)
        elif command == AUTH:
            await self._challenge(first)
        elif command == OPEN:
            self._open(first, data.rstrip(b"\0").decode(errors="replace"))
        elif command in {WRTE, OKAY, CLSE}:
            await self._continue(command, first, second, data)

    async def _greet(self, version: int, max_payload: int) -> None:
        """Answer CNXN; the answer itself still carries a checksum."""
        if not self._authorized():
            await self.send(AUTH, AUTH_TOKEN, 0, self._tokens(TOKEN_BYTES))
            return
        await self.send(CNXN, VERSION, self.max_payload, self._banner.encode())
        self.max_payload = min(self.max_payload, max_payload)
        self._version = min(VERSION, version)

    async def _challenge(self, kind: int) -> None:
        """Answer a signature with another challenge, once: then the host sends its key and waits for a finger."""
        if kind == AUTH_SIGNATURE and not self._signatures:
            self._signatures += 1
            await self.send(AUTH, AUTH_TOKEN, 0, self._tokens(TOKEN_BYTES))

    def _open(self, remote: int, service: str) -> None:
        self._last += 1
        stream = Stream(self, self._last, remote, service)
        self.streams[stream.local] = stream
        task = asyncio.ensure_future(self._serve_and_close(stream))
        self._tasks[stream.local] = task
        task.add_done_callback(lambda _: self._tasks.pop(stream.local, None))

    async def _serve_and_close(self, stream: Stream) -> None:
        try:
            await self._serve(stream)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            await stream.close()

    async def _continue(self, command: int, remote: int, local: int, data: bytes) -> None:
        """Handle a packet of an open stream; of one that is not open the host is told so."""
        stream = self.streams.get(local)
        if stream is None:
            if command == WRTE:
                await self.send(CLSE, 0, remote)
        elif command == WRTE:
            stream.reader.feed_data(data)
            await self.send(OKAY, stream.local, stream.remote)
        elif command == OKAY:
            stream.acknowledged.set()
        else:
            stream.forget()
            self._cancel(local)
            await self.send(CLSE, stream.local, stream.remote)

    def _cancel(self, local: int) -> None:
        task = self._tasks.get(local)
        if task:
            task.cancel()

    def _end(self) -> None:
        for stream in list(self.streams.values()):
            stream.forget()
        for task in list(self._tasks.values()):
            task.cancel()
        self._writer.transport.abort()

"""adb's file service, ``sync:``: STAT, STA2, LST2, LIST, LIS2, SEND and RECV (AOSP: SYNC.TXT, file_sync_protocol.h)."""

import asyncio
import posixpath
import stat
import struct
from collections.abc import Awaitable, Callable

from devicelab.emulator.filesystem import Entry, StorageFullError, normal
from devicelab.emulator.phone import Phone

PIECE = 64 * 1024
BATCH = 512 * 1024
NO_ENTRY = 2
NOT_A_MODEL = ("mock_apps.json", ".apk")
"""What Appium pushes for itself; the push of anything else is the moment of faults armed for ``push``."""

Write = Callable[[bytes], Awaitable[None]]


async def serve_sync(phone: Phone, reader: asyncio.StreamReader, write: Write) -> None:
    """Answer requests until QUIT or the end of *reader*."""
    while True:
        try:
            request, length = struct.unpack("<4sI", await reader.readexactly(8))
        except asyncio.IncompleteReadError:
            return
        if request == b"QUIT":
            return
        path = (await reader.readexactly(length)).decode(errors="replace")
        phone.trace.append(f"sync {request.decode(errors='replace')} {path}")
        match request:
            case b"STAT" | b"STA2" | b"LST2":
                await write(_status(request, phone.files.find(path)))
            case b"LIST":
                await write(_listing(phone, path))
            case b"SEND":
                await _receive(phone, path, reader, write)
            case b"RECV":
                await _send(phone, path, write)
            case _:
                phone.unknown.append(f"sync {request!r}")
                await write(_failure(f"unknown command {request!r}"))
                return


def _failure(reason: str) -> bytes:
    return struct.pack("<4sI", b"FAIL", len(reason)) + reason.encode()


def _facts(entry: Entry | None) -> tuple[int, int, int]:
    """Return mode, size and time; zeros for what is not there."""
    if entry is None:
        return 0, 0, 0
    return entry.mode, 4096 if entry.is_folder else len(entry.data), entry.mtime


def _status(request: bytes, entry: Entry | None) -> bytes:
    mode, size, mtime = _facts(entry)
    if request == b"STAT":
        return struct.pack("<4s3I", b"STAT", mode, size, mtime)
    error = 0 if entry else NO_ENTRY
    return struct.pack("<4sIQQIIIIQqqq", request, error, 0, 0, mode, 1, 2000, 2000, size, mtime, mtime, mtime)


def _listing(phone: Phone, path: str) -> bytes:
    answer = b""
    for name in phone.files.names(path):
        encoded = name.encode()
        facts = _facts(phone.files.entries[posixpath.join(normal(path), name)])
        answer += struct.pack("<4s4I", b"DENT", *facts, len(encoded)) + encoded
    return answer + struct.pack("<4s4I", b"DONE", 0, 0, 0, 0)


async def _receive(phone: Phone, request: str, reader: asyncio.StreamReader, write: Write) -> None:
    """Take a file that is pushed: pieces, then DONE with its time."""
    path, _, mode = request.rpartition(",")
    data = bytearray()
    moment_of_fault = not path.endswith(NOT_A_MODEL)
    while True:
        kind, length = struct.unpack("<4sI", await reader.readexactly(8))
        if kind == b"DONE":
            break
        data += await reader.readexactly(length)
        if moment_of_fault:
            moment_of_fault = False
            await phone.reached("push")
    try:
        phone.files.write(path, bytes(data), length, stat.S_IMODE(int(mode)))
    except StorageFullError:
        await write(_failure("couldn't write: No space left on device"))
    except (IsADirectoryError, FileExistsError):
        await write(_failure("couldn't create file: Is a directory"))
    else:
        await write(struct.pack("<4sI", b"OKAY", 0))


async def _send(phone: Phone, path: str, write: Write) -> None:
    """Give a file that is pulled."""
    entry = phone.files.find(path)
    if entry is None or entry.is_folder:
        await write(_failure("open failed: " + ("Is a directory" if entry else "No such file or directory")))
        return
    batch = bytearray()
    for place in range(0, len(entry.data), PIECE):
        piece = entry.data[place : place + PIECE]
        batch += struct.pack("<4sI", b"DATA", len(piece)) + piece
        if len(batch) >= BATCH:
            await write(bytes(batch))
            batch.clear()
    await write(bytes(batch) + struct.pack("<4sI", b"DONE", 0))

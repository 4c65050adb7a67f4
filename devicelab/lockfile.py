"""The two small files beside a store: the lock of its one writer, and the head of its log."""

import fcntl
import os
from pathlib import Path
from typing import IO

from devicelab.errors import StoreError


class Lock:
    """The sole right to write the store at *path*; it goes with ``close``, or with the process.

    Raises:
        StoreError: somebody has it, or the folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = path.with_name(path.name + ".lock").open("a+")
        except OSError as error:
            raise StoreError(f"{path}: cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            owner = self._file.read().strip() or "another process"
            self._file.close()
            raise StoreError(f"{path}: is in use by {owner}; wait for it, or name another store") from None
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()}")
        self._file.flush()

    def close(self) -> None:
        """Let go of the right."""
        self._file.close()


class Anchor:
    """``<store>.head``: number and hash of the newest row, written after every commit.

    It is not flushed: after a power cut it may be behind the log, never ahead of what was ever in it.

    Raises:
        StoreError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            _head_path(path).touch()
            self._file = _head_path(path).open("r+b")
        except OSError as error:
            raise StoreError(f"{_head_path(path)}: cannot be written: {error.strerror}") from None

    def write(self, seq: int, digest: bytes) -> None:
        """Note that row *seq* with the hash *digest* is the newest."""
        os.pwrite(self._file.fileno(), f"{seq:020d} {digest.hex()}\n".encode(), 0)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @staticmethod
    def read(path: Path) -> tuple[int, bytes] | None:
        """Return number and hash of the row that was the newest when the store at *path* was last written, if known.

        Raises:
            ValueError: the file is there and holds something else.
        """
        try:
            text = _head_path(path).read_text(encoding="ascii")
        except FileNotFoundError:
            return None
        if not text:
            return None
        seq, digest = text.split()
        return int(seq), bytes.fromhex(digest)


def _head_path(path: Path) -> Path:
    return path.with_name(path.name + ".head")

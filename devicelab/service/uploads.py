"""Networks that searches send: files by their SHA-256, none too large, each a .tflite that can be read.

Only a digest ever becomes part of a path, and a digest is 64 hexadecimal digits: no name that a client chose
reaches the file system.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Annotated

import anyio.to_thread
from pydantic import StringConstraints

from devicelab.device import Value
from devicelab.errors import StoreError, UploadError, WorkloadError
from devicelab.graph import read_graph

SHA256 = r"^[0-9a-f]{64}$"
Sha256 = Annotated[str, StringConstraints(pattern=SHA256)]


class Upload(Value):
    """A file that is here: its SHA-256 and size, and the fingerprint of the graph in it."""

    sha256: Sha256
    size: int
    fingerprint: str


class Uploads:
    """The uploaded files below *folder*, each of at most *max_bytes*."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._known: dict[str, Upload] = {}

    def path_of(self, sha256: str) -> Path:
        """Return where the file with this digest lies, or would lie.

        Raises:
            UploadError: *sha256* is not 64 hexadecimal digits in lower case.
        """
        if not re.fullmatch(SHA256[1:-1], sha256):
            raise UploadError("a file is named by its SHA-256: 64 hexadecimal digits in lower case")
        return self._folder / sha256[:2] / f"{sha256}.tflite"

    async def find(self, sha256: str) -> Upload | None:
        """Return what is known of the file with this digest, or None if it is not here.

        Raises:
            UploadError: *sha256* is no digest.
        """
        path = self.path_of(sha256)
        if sha256 not in self._known:
            if not path.is_file():
                return None
            self._known[sha256] = await anyio.to_thread.run_sync(_inspect, path, sha256)
        return self._known[sha256]

    async def add(self, sha256: str, chunks: AsyncIterable[bytes]) -> Upload:
        """Keep the file that arrives in *chunks* under its digest *sha256*, whole or not at all.

        Raises:
            UploadError: it is too large, its digest is another one, or it is no .tflite that a phone here can run.
            StoreError: it cannot be written.
        """
        path = self.path_of(sha256)
        draft: Path | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix="arriving-")
            draft = Path(name)
            with os.fdopen(descriptor, "wb") as file:
                digest, size = hashlib.sha256(), 0
                async for chunk in chunks:
                    size += len(chunk)
                    if size > self._max_bytes:
                        raise UploadError(f"larger than {self._max_bytes} bytes, the most that this lab takes")
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            if digest.hexdigest() != sha256:
                raise UploadError(f"{size} bytes arrived whose SHA-256 is {digest.hexdigest()}, not {sha256}")
            upload = await anyio.to_thread.run_sync(_inspect, draft, sha256)
            draft.replace(path)
        except OSError as error:
            raise StoreError(f"{path}: cannot be written: {error.strerror}") from None
        finally:
            if draft is not None:
                draft.unlink(missing_ok=True)
        self._known[sha256] = upload
        return upload


def _inspect(path: Path, sha256: str) -> Upload:
    try:
        graph = read_graph(path)
    except WorkloadError as error:
        raise UploadError(str(error).removeprefix(f"{path}: ")) from None
    return Upload(sha256=sha256, size=graph.size, fingerprint=graph.fingerprint)

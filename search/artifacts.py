"""The artifact store: files by the digest of what they were made from, each computed once.

An entry is a folder ``<root>/<first two hex digits>/<key>/`` that holds the files which one
stage wrote and a manifest with their SHA-256. It appears by one rename, so a reader sees either
the whole entry or none. Work in progress lives in ``<root>/partial/<key>/`` and survives its
process, so that a training which was killed can go on from its last epoch.

Two processes that need the same entry meet at a lock file: one computes, the others wait and
read. The lock belongs to the open file, so the kernel releases it when its holder dies, however
it dies.
"""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from fer_core.artifact import sha256_of
from search.writing import cannot_write, opened, writing

_MANIFEST = "manifest.json"


class ArtifactStore:
    """Entries under one local folder, shared by every process that can see the folder.

    Keys are hex digests (``search.candidate.digest_of``). Everything that touches the file system
    goes through the five public methods, so another kind of store needs only those. *waiting* is entered while
    another process computes what is asked for.
    """

    def __init__(self, root: Path, waiting: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self._root = root
        self._waiting = waiting

    def get_or_compute(self, key: str, compute: Callable[[Path], None]) -> Path:
        """Return the entry's folder; when it is missing or damaged, let *compute* fill it first.

        *compute* gets an empty folder. What it raises is raised here, and nothing is stored. At most
        one process computes a key at a time.

        Raises:
            ArtifactError: the disk is full or not writable; what was there before is untouched.
        """
        found = self.find(key)  # without the lock: entries never change once they are there
        if found is not None:
            return found
        with self.locked(key):
            found = self.find(key)
            if found is None:
                self._compute(key, compute)
                found = self.commit(key)
            return found

    def find(self, key: str) -> Path | None:
        """Return the entry's folder, or ``None`` if it is missing, incomplete or damaged."""
        entry = self._entry(key)
        try:
            manifest: dict[str, str] = json.loads((entry / _MANIFEST).read_text())
            intact = all(sha256_of(entry / name) == digest for name, digest in manifest.items())
        except (OSError, ValueError):
            return None
        return entry if intact else None

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Hold the sole right to compute *key*; wait while another process (or thread) holds it."""
        path = self._root / "locks" / key
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        handle = opened(path)
        try:
            with self._waiting():
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def partial(self, key: str) -> Path:
        """Return the folder of the work in progress on *key*; call it with the lock held."""
        folder = self._root / "partial" / key
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def commit(self, key: str) -> Path:
        """Make the partial folder of *key* its entry, durably, in one rename; call it with the lock held.

        A damaged entry of the same key is replaced.
        """
        partial, entry = self.partial(key), self._entry(key)
        with writing(partial):
            files = sorted(path for path in partial.rglob("*") if path.is_file() and path.name != _MANIFEST)
            manifest = {str(path.relative_to(partial)): sha256_of(path) for path in files}
            (partial / _MANIFEST).write_text(json.dumps(manifest, indent=1))
            for path in (*files, partial / _MANIFEST, partial):
                _sync(path)
            entry.parent.mkdir(parents=True, exist_ok=True)
            if entry.exists():
                shutil.rmtree(entry)
            partial.rename(entry)
            _sync(entry.parent)
        return entry

    def _compute(self, key: str, compute: Callable[[Path], None]) -> None:
        folder = self.partial(key)
        shutil.rmtree(folder)  # what an earlier computation left when it was cut short
        folder = self.partial(key)
        try:
            compute(folder)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise cannot_write(folder, error) from error
            raise

    def _entry(self, key: str) -> Path:
        return self._root / key[:2] / key


def write_atomically(path: Path, content: bytes) -> None:
    """Write *content* to *path* so that a reader, or a crash, sees the old file or the new one, never a part.

    Raises:
        ArtifactError: the disk is full or not writable; the old file is untouched.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(path):
        try:
            draft.write_bytes(content)
            _sync(draft)
            draft.replace(path)
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

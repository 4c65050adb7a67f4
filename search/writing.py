"""Files that are written or locked, and what to say when they cannot be."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search.errors import ArtifactError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Write *path* inside the block.

    Raises:
        ArtifactError: for an ``OSError`` of the block.
    """
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> ArtifactError:
    """Return *error* as an error of the store of files, with what to do about it."""
    advice = "free some space or fix the permissions, then `fer-search resume`"
    return ArtifactError(f"cannot write {path}: {error.strerror or error}; {advice}")


def opened(path: Path) -> int:
    """Return the file at *path*, made if it is not there, open for a lock (``fcntl.flock``), which ends with it.

    Raises:
        ArtifactError: it cannot be made.
    """
    with writing(path):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

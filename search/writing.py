"""What to say when a file cannot be written."""

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

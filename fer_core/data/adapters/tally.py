"""What adapters share: finding images, and a ledger in which nothing that they meet gets lost."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fer_core.data.faces import Dropped, Example, Listing, Skipped
from fer_core.errors import DataError
from fer_core.labels import Expression, as_expression

IMAGES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
"""File endings, in lower case, that adapters take for an image."""

VIDEOS = frozenset({".mp4", ".avi", ".mov", ".mkv", ".wmv", ".webm"})
"""The same for videos."""

FIRST = 3
"""Paths that a :class:`Dropped` keeps as examples."""


@dataclass(slots=True)
class Tally:
    """Collects examples, what was dropped (another label) and what was skipped (unusable) while a folder is read."""

    examples: list[Example] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _dropped: dict[str, list[str]] = field(default_factory=dict)

    def take(self, example: Example) -> None:
        """Count *example* in."""
        self.examples.append(example)

    def skip(self, path: Path | str, reason: str) -> None:
        """Leave out a file, or a line of a table (``<path>:<line>``), that cannot be used."""
        self.skipped.append(Skipped(str(path), reason))

    def wanted(self, label: str, path: Path | str) -> Expression | None:
        """Return *label* as one of the seven expressions; if it is none, drop the image at *path*."""
        expression = as_expression(label)
        if expression is None:
            self.drop(label, path)
        return expression

    def drop(self, label: str, path: Path | str) -> None:
        """Leave out a readable image whose *label* is none of the seven expressions."""
        self._dropped.setdefault(label, []).append(str(path))

    def listing(self) -> Listing:
        """Return what was collected, the dropped images counted by label."""
        return Listing(
            examples=tuple(self.examples),
            skipped=tuple(self.skipped),
            dropped=tuple(
                Dropped(label, len(paths), tuple(paths[:FIRST])) for label, paths in sorted(self._dropped.items())
            ),
            notes=tuple(self.notes),
        )


def files_below(folder: Path, endings: frozenset[str] = IMAGES) -> Iterator[Path]:
    """Yield the files at any depth below *folder* that end in one of *endings*, sorted; hidden ones are passed over.

    Raises:
        DataError: there is no such folder.
    """
    require_folder(folder)
    yield from sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in endings and not path.name.startswith(".")
    )


def find(folder: Path, *names: str) -> Path | None:
    """Return the first file or folder called one of *names* in *folder* or up to two levels below it."""
    require_folder(folder)
    for pattern in ("{}", "*/{}", "*/*/{}"):
        for name in names:
            for path in sorted(folder.glob(pattern.format(name))):
                return path
    return None


def need(folder: Path, *names: str) -> Path:
    """Return what :func:`find` finds.

    Raises:
        DataError: it finds nothing.
    """
    path = find(folder, *names)
    if path is None:
        raise DataError(f"{folder}: holds no {' or '.join(names)}; 'fer-data check' tells which set a folder holds")
    return path


def has_file(path: Path) -> bool:
    """Tell whether there is a file at *path*, whatever a table wrote there."""
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def require_folder(folder: Path) -> None:
    """Check that *folder* is one.

    Raises:
        DataError: it is not.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {what}; give the folder that the set was unpacked into")

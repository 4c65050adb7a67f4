"""Which known set a folder holds, judged by the marks of the catalogue; or what the nearest one lacks."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from fer_core.data.adapters.tally import IMAGES, VIDEOS, require_folder
from fer_core.data.catalog import Card, Form, Mark, card, catalog
from fer_core.data.sources import Layout
from fer_core.errors import DataError

GENERIC: tuple[Layout, ...] = ("folders", "table")
"""Layouts that say nothing about the set: only named where no set's own layout fits."""

_FILES_PER_FOLDER = 60  # of each kind: enough to tell a layout, and bounds the survey of half a million images
_FOLDERS = 3000
_TABLES_READ = 10
_TABLES = {".csv", ".parquet"}
_ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".rar", ".7z", ".bz2", ".xz"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How well one layout fits one folder.

    ``found`` and ``missing`` are the marks, as a person would name them; ``score`` in [0, 1] is the share of the
    layout that is there. ``folder`` is where it begins: the folder that was asked about, or one below it.
    """

    layout: Layout
    folder: Path
    tree: str
    found: tuple[str, ...]
    missing: tuple[str, ...]
    score: float

    @property
    def complete(self) -> bool:
        """Whether every mark is there."""
        return not self.missing


def recognise(folder: Path) -> Verdict:
    """Return the known layout that *folder*, or a folder up to two levels below it, has. A table may be named itself.

    Raises:
        DataError: none fits (the message says what the nearest one lacks), or several lie side by side.
    """
    if folder.is_file() and folder.suffix.lower() in _TABLES:
        return Verdict("table", folder, "", (f"the table {folder.name}",), (), 1.0)
    verdicts = judge(folder)
    best = verdicts[0] if verdicts else None
    if best is None or not best.complete:
        raise DataError(_explain(folder, best))
    several = {verdict.folder: verdict.layout for verdict in reversed(verdicts) if verdict.complete}
    top = [place for place in several if not any(place != other and place.is_relative_to(other) for other in several)]
    if len(top) > 1:
        sets = "; ".join(f"{several[place]} in {place}" for place in sorted(top))
        raise DataError(f"{folder}: holds several sets, name one of their folders: {sets}")
    return best


def judge(folder: Path) -> list[Verdict]:
    """Return every layout of which *folder* has something, the best fitting first.

    Raises:
        DataError: there is no such folder.
    """
    require_folder(folder)
    paths = list(_survey(folder))
    verdicts = _judge_at(folder, paths)
    for below in [] if any(verdict.complete for verdict in verdicts) else _folders_of(paths):
        inside = [path.removeprefix(f"{below}/") for path in paths if path.startswith(f"{below}/")]
        verdicts += [verdict for verdict in _judge_at(folder / below, inside) if verdict.complete]
    return sorted(verdicts, key=_rank)


def _rank(verdict: Verdict) -> tuple[bool, bool, int, float, bool, int]:
    """Complete before near; of the complete ones those that say most, generic ones last; of the near the nearest."""
    generic = verdict.layout in GENERIC
    depth = len(verdict.folder.parts)
    if verdict.complete:
        return False, generic, -len(verdict.found), 0.0, generic, depth
    return True, False, 0, -verdict.score, generic, depth


def _judge_at(folder: Path, paths: Sequence[str]) -> list[Verdict]:
    verdicts = [_verdict(about, form, folder, paths) for about in catalog() for form in about.layouts]
    return [verdict for verdict in verdicts if verdict.score > 0]


def _verdict(about: Card, form: Form, folder: Path, paths: Sequence[str]) -> Verdict:
    seen = [(mark, *_look(mark, folder, paths)) for mark in form.marks]
    return Verdict(
        layout=about.name,
        folder=folder,
        tree=form.tree.strip(),
        found=tuple(mark.shown for mark, there, _ in seen if there),
        missing=tuple(mark.shown for mark, there, _ in seen if not there),
        score=sum(amount for _, _, amount in seen) / len(seen),
    )


def _look(mark: Mark, folder: Path, paths: Sequence[str]) -> tuple[bool, float]:
    """Return whether *mark* is there, and how much of it."""
    pattern = re.compile(mark.path, re.IGNORECASE)
    matching = [path for path in paths if pattern.search(path)]
    if mark.columns:
        there = any(_has_columns(folder / path, mark.columns) for path in matching[:_TABLES_READ])
        return there, 1.0 if there else 0.5 * bool(matching)
    if not mark.share:
        return bool(matching), float(bool(matching))
    media = sum(PurePosixPath(path).suffix.lower() in IMAGES | VIDEOS for path in paths)
    amount = len(matching) / media if media else 0.0
    return amount >= mark.share, 1.0 if amount >= mark.share else amount


def _survey(folder: Path) -> Iterator[str]:
    """Yield paths below *folder*, relative, ``/`` between parts: of large folders only the first files of each kind."""
    walk = os.walk(folder)
    for place, folders, files in islice(walk, _FOLDERS):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        prefix = "" if Path(place) == folder else f"{Path(place).relative_to(folder).as_posix()}/"
        visible = sorted(name for name in files if not name.startswith("."))
        media = [name for name in visible if Path(name).suffix.lower() in IMAGES | VIDEOS]
        others = [name for name in visible if Path(name).suffix.lower() not in IMAGES | VIDEOS]
        for name in media[:_FILES_PER_FOLDER] + others[:_FILES_PER_FOLDER]:
            yield prefix + name


def _folders_of(paths: Sequence[str]) -> list[str]:
    """Return the folders up to two levels deep that *paths* lie in."""
    parts = [path.split("/")[:-1] for path in paths]
    return sorted({"/".join(part[:depth]) for part in parts for depth in (1, 2) if len(part) >= depth})


def _has_columns(table: Path, columns: Sequence[str]) -> bool:
    try:
        if table.suffix.lower() == ".parquet":
            from pyarrow import parquet

            there = set(parquet.read_schema(table).names)
        else:
            with table.open(encoding="utf-8-sig") as stream:
                there = {cell.strip().strip('"') for cell in stream.readline(10_000).split(",")}
    except (OSError, ValueError):
        return False
    return there.issuperset(columns)


def _explain(folder: Path, nearest: Verdict | None) -> str:
    archives = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in _ARCHIVES)
    unpack = f"; {archives[0]} is still packed: unpack it first" if archives else ""
    if nearest is None:
        return f"{folder}: holds nothing of any known set{unpack}; 'fer-data catalog' shows what they look like"
    title = card(nearest.layout).title
    there = f"there is: {'; '.join(nearest.found)}" if nearest.found else f"{nearest.score:.0%} of it is there"
    return (
        f"{folder}: is none of the known layouts. Nearest is {nearest.layout} ({title}); {there}; "
        f"missing: {'; '.join(nearest.missing)}{unpack}. "
        f"'fer-data catalog {nearest.layout}' shows what it looks like; --layout reads the folder as another one"
    )

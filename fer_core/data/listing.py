"""A source -> its examples: the adapter of its layout, then what holds for every set.

Ages from a table of the user's, populations by a stated age, official splits, and no file from outside the folder.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from fer_core.data.adapters.affectnet import list_affectnet
from fer_core.data.adapters.cafe import list_cafe
from fer_core.data.adapters.ckplus import list_ckplus
from fer_core.data.adapters.emoreact import list_emoreact
from fer_core.data.adapters.expw import list_expw
from fer_core.data.adapters.fer2013 import list_fer2013, list_ferplus
from fer_core.data.adapters.folders import list_folders, official_split
from fer_core.data.adapters.named import list_named
from fer_core.data.adapters.rafdb import list_rafdb
from fer_core.data.adapters.rows import read_rows, years
from fer_core.data.adapters.table import list_table
from fer_core.data.adapters.tally import VIDEOS
from fer_core.data.adapters.videos import with_frames
from fer_core.data.catalog import card
from fer_core.data.faces import Example, Listing, Skipped
from fer_core.data.sources import DataSource, Layout
from fer_core.errors import DataError

_BY_LABELS: Mapping[Layout, Callable[[Path, Mapping[str, str]], Listing]] = {
    "fer2013": list_fer2013,
    "ferplus": list_ferplus,
    "affectnet": list_affectnet,
    "raf-db": list_rafdb,
    "expw": list_expw,
    "ck+": list_ckplus,
}


def list_source(source: DataSource) -> Listing:
    """Return what the adapter of *source*'s layout finds, of the official split that it asks for.

    Images whose split is unknown belong to every split. Subject ids carry the name of their set, because two sets may
    use the same code for two people. Every example says whom it shows where that is known: by its age, else as the
    set says, else as the source says.

    Raises:
        DataError: the folder is missing or holds nothing usable.
    """
    listing = _adapted(source)
    inside, outside = _inside(listing.examples, source.path)
    wanted = official_split(source.split)
    kept = [example for example in inside if wanted in {"all", example.split} or not example.split]
    if not kept:
        there = ", ".join(sorted({example.split for example in inside})) or "none"
        raise DataError(f"{source.path}: holds no usable image of split {source.split!r} (splits: {there})")
    notes = listing.notes
    if source.ages is not None:
        kept, note = _with_ages(kept, source.ages)
        notes = (*notes, note)
    return replace(
        listing,
        examples=tuple(_with_population(example, source) for example in kept),
        skipped=(*listing.skipped, *outside),
        notes=notes,
    )


def _adapted(source: DataSource) -> Listing:
    """Read the folder with the adapter of its layout."""
    path, layout = source.path, source.layout
    if layout == "cafe":
        return list_cafe(path, pacific_islanders=source.pacific_islanders, subset=source.subset)
    if layout == "folders":
        return list_folders(path, split=source.split, subject_pattern=source.subject_pattern)
    if layout == "table":
        return list_table(path, source.columns)
    about = card(layout)
    if layout == "emoreact":
        listing = list_emoreact(path, about.labels, source.frame_rate)
    elif about.names is None:
        listing = _BY_LABELS[layout](path, about.labels)
    elif layout == "liris-cse":
        listing = with_frames(list_named(path, about.names, about.labels, VIDEOS), source.frame_rate)
    else:
        listing = list_named(path, about.names, about.labels)
    return replace(listing, examples=tuple(_qualified(example, layout) for example in listing.examples))


def _qualified(example: Example, layout: Layout) -> Example:
    return replace(example, subject=f"{layout}:{example.subject}") if example.subject else example


def _with_population(example: Example, source: DataSource) -> Example:
    if example.age is not None:
        return replace(example, population="children" if example.age < source.age_border else "adults")
    if example.population or source.population == "all":
        return example
    return replace(example, population=source.population)


def _with_ages(examples: Sequence[Example], path: Path) -> tuple[list[Example], str]:
    """Give each example the age that the table at *path* tells; return how many have one, too.

    Negative ages mean that the estimator saw no face.

    Raises:
        DataError: the table is of other images.
    """
    told = {row["name"]: years(row["age"]) for _, row in read_rows(path, ["name", "age"])}
    by_row = {name.partition("_")[0].removesuffix(".png"): age for name, age in told.items()}
    aged: list[Example] = []
    found = 0
    for example in examples:
        in_table = example.frame is not None and example.rate is None
        age = by_row.get(str(example.frame)) if in_table else told.get(example.path.name)
        found += age is not None
        aged.append(example if age is None else replace(example, age=age[0]))
    if not found:
        raise DataError(f"{path}: tells no age of any of the {len(examples)} images, like {_name(examples[0])!r}")
    return aged, f"{found} of {len(examples)} images have an age from {path.name}"


def _name(example: Example) -> str:
    return example.path.name if example.frame is None else f"{example.frame}_..."


def _inside(examples: tuple[Example, ...], path: Path) -> tuple[list[Example], list[Skipped]]:
    """Split *examples* into those below *path* (or beside it, if it is a file) and those that a link leads to."""
    root = os.path.realpath(path if path.is_dir() else path.parent)
    real_folder = cache(os.path.realpath)  # unlike Path.resolve, it does not raise where links form a loop
    inside: list[Example] = []
    outside: list[Skipped] = []
    for example in examples:
        link = example.path.is_symlink()
        real = os.path.realpath(example.path) if link else real_folder(example.path.parent)
        if real == root or real.startswith(f"{root.removesuffix(os.sep)}{os.sep}"):
            inside.append(example)
        else:
            outside.append(
                Skipped(str(example.path), f"leads out of {path}: copy the file, or name the folder it is in")
            )
    return inside, outside

"""A source -> its examples: the adapter of its layout, then what holds for every set.

Ages from a table of the user's, populations by a stated age, official splits, and no file from outside the folder.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from fer_core.data.adapters.cafe import list_cafe
from fer_core.data.adapters.folders import list_folders, official_split
from fer_core.data.faces import Example, Listing, Skipped
from fer_core.data.sources import DataSource, Layout
from fer_core.errors import DataError

ADAPTERS: Mapping[Layout, Callable[[DataSource], Listing]] = {
    "cafe": lambda source: list_cafe(source.path, pacific_islanders=source.pacific_islanders),
    "folders": lambda source: list_folders(source.path, split=source.split, subject_pattern=source.subject_pattern),
}
"""How each layout is read."""


def list_source(source: DataSource) -> Listing:
    """Return what the adapter of *source*'s layout finds, of the official split that it asks for.

    Images whose split is unknown belong to every split. Every example says whom it shows where that is known: by its
    age, else as the set says, else as the source says.

    Raises:
        DataError: the folder is missing or holds nothing usable.
    """
    listing = ADAPTERS[source.layout](source)
    inside, outside = _inside(listing.examples, source.path)
    wanted = official_split(source.split)
    kept = [example for example in inside if wanted in {"all", example.split} or not example.split]
    if not kept:
        there = ", ".join(sorted({example.split for example in inside})) or "nothing"
        raise DataError(f"{source.path}: holds no image of split {source.split!r} (there is: {there})")
    return replace(
        listing,
        examples=tuple(_with_population(example, source) for example in kept),
        skipped=(*listing.skipped, *outside),
    )


def _with_population(example: Example, source: DataSource) -> Example:
    if example.age is not None:
        return replace(example, population="children" if example.age < source.age_border else "adults")
    if example.population or source.population == "all":
        return example
    return replace(example, population=source.population)


def _inside(examples: tuple[Example, ...], path: Path) -> tuple[list[Example], list[Skipped]]:
    """Split *examples* into those below *path* (or beside it, if it is a file) and those that a link leads to."""
    root = path.resolve() if path.is_dir() else path.resolve().parent
    real_folder = cache(Path.resolve)
    inside: list[Example] = []
    outside: list[Skipped] = []
    for example in examples:
        real = example.path.resolve() if example.path.is_symlink() else real_folder(example.path.parent)
        if real.is_relative_to(root):
            inside.append(example)
        else:
            outside.append(
                Skipped(str(example.path), f"leads out of {path}: copy the file, or name the folder it is in")
            )
    return inside, outside

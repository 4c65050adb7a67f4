"""One folder per class: ``<path>/<split>/<label>/<name>.{jpg,jpeg,png}``.

The common layout of FER2013, RAF-DB and many other sets.
"""

import re
from pathlib import Path

from fer_core.data.faces import Example, Listing, Skipped
from fer_core.errors import DataError
from fer_core.labels import EXPRESSIONS, Expression

SPELLINGS: dict[str, Expression] = {
    "anger": "anger",
    "angry": "anger",
    "disgust": "disgust",
    "disgusted": "disgust",
    "fear": "fear",
    "fearful": "fear",
    "afraid": "fear",
    "scared": "fear",
    "happiness": "happiness",
    "happy": "happiness",
    "joy": "happiness",
    "neutral": "neutral",
    "sadness": "sadness",
    "sad": "sadness",
    "surprise": "surprise",
    "surprised": "surprise",
}
"""Folder names, in lower case, that mean one of the seven expressions."""

_IMAGES = {".jpg", ".jpeg", ".png"}


def list_folders(
    folder: Path, *, split: str = "train", population: str = "all", subject_pattern: str | None = None
) -> Listing:
    """List the images of one split.

    Folders with another label (contempt, unknown, ...) and images whose name the *subject_pattern* does not match
    are skipped with a reason. *population* ``"all"`` leaves the population of the examples unknown.

    Raises:
        DataError: the split is missing, or no image lies in a folder named like an expression.
    """
    root = folder / split
    if not root.is_dir():
        there = ", ".join(sorted(child.name for child in folder.iterdir() if child.is_dir())) if folder.is_dir() else ""
        raise DataError(
            f"{root}: no such folder; expected {folder}/<split>/<label>/*.jpg"
            + (f" (there is: {there})" if there else "")
        )
    pattern = re.compile(subject_pattern) if subject_pattern else None
    examples: list[Example] = []
    skipped: list[Skipped] = []
    for child in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        images = sorted(path for path in child.iterdir() if path.suffix.lower() in _IMAGES)
        expression = SPELLINGS.get(child.name.lower())
        if expression is None:
            skipped += [
                Skipped(str(path), f"folder {child.name!r} is none of the seven expressions") for path in images
            ]
            continue
        for path in images:
            found = _example(path, expression, "" if population == "all" else population, pattern)
            if isinstance(found, Example):
                examples.append(found)
            else:
                skipped.append(found)
    if not examples:
        raise DataError(
            f"{root}: holds no usable image; expected one folder per class named like {', '.join(EXPRESSIONS)}"
        )
    return Listing(tuple(examples), tuple(skipped))


def _example(path: Path, expression: Expression, population: str, pattern: re.Pattern[str] | None) -> Example | Skipped:
    if pattern is None:
        return Example(path=path, expression=expression, population=population)
    match = pattern.search(f"{path.parent.name}/{path.name}")
    if match is None:
        return Skipped(str(path), f"name does not match subject_pattern {pattern.pattern!r}")
    told = {key: value for key, value in match.groupdict().items() if value is not None}
    return Example(
        path=path,
        expression=expression,
        population=population,
        subject=told.get("subject", ""),
        group=told.get("group", ""),
        sex=told.get("sex", "").upper(),
    )

"""One folder per class: ``<path>/<split>/<label>/<name>.{jpg,jpeg,png}``.

The common layout of FER2013, RAF-DB and many other sets.
"""

import re
from pathlib import Path

from fer_core.data.adapters.tally import IMAGES, Tally, require_folder
from fer_core.data.faces import Example, Listing
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

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""Names, in lower case, of the three official splits."""


def official_split(word: str) -> str:
    """Return ``"train"``, ``"validation"`` or ``"test"`` for a usual spelling of it, any other *word* as it is."""
    return SPLITS.get(word.lower(), word)


def list_folders(folder: Path, *, split: str = "train", subject_pattern: str | None = None) -> Listing:
    """List the images of one split, or of every subfolder of *folder* for ``"all"``.

    Where the class folders lie in *folder* itself there are no splits, and all images are listed. Images in a folder
    with another label (contempt, unknown, ...) are dropped; those whose name the *subject_pattern* does not match are
    skipped.

    Raises:
        DataError: the split is missing, or no image lies in a folder named like an expression.
    """
    require_folder(folder)
    pattern = re.compile(subject_pattern or "")
    tally = Tally()
    for name, root in _roots(folder, split):
        for child in _subfolders(root):
            expression = SPELLINGS.get(child.name.lower())
            for path in sorted(path for path in child.iterdir() if path.suffix.lower() in IMAGES):
                if expression is None:
                    tally.drop(child.name, path)
                elif (match := pattern.search(f"{child.name}/{path.name}")) is None:
                    tally.skip(path, f"name does not match subject_pattern {subject_pattern!r}")
                else:
                    tally.take(_example(path, expression, name, match.groupdict(default="")))
    if not tally.examples:
        raise DataError(
            f"{folder if split == 'all' else folder / split}: holds no usable image; expected one folder per class "
            f"named like {', '.join(EXPRESSIONS)}"
        )
    return tally.listing()


def _roots(folder: Path, split: str) -> list[tuple[str, Path]]:
    """Return the folders that hold the class folders, each with the name of its split."""
    children = _subfolders(folder)
    if any(child.name.lower() in SPELLINGS for child in children):
        return [("", folder)]
    if split == "all":
        return [(official_split(child.name), child) for child in children]
    chosen = [child for child in children if child.name == split]
    chosen = chosen or [child for child in children if official_split(child.name) == official_split(split)]
    if not chosen:
        raise DataError(
            f"{folder / split}: no such folder; expected {folder}/<split>/<label>/*.jpg"
            f" (there is: {', '.join(child.name for child in children) or 'no folder'})"
        )
    return [(official_split(split), child) for child in chosen]


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _example(path: Path, expression: Expression, split: str, told: dict[str, str]) -> Example:
    return Example(
        path=path,
        expression=expression,
        subject=told.get("subject", ""),
        group=told.get("group", ""),
        sex=told.get("sex", "").upper(),
        split=split,
    )

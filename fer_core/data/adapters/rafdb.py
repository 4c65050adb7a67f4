"""RAF-DB's basic subset: a list of labels, aligned faces, and one small file per image on sex, race and age group."""

from collections.abc import Mapping
from pathlib import Path

from fer_core.data.adapters.rows import read_lines
from fer_core.data.adapters.tally import Tally, files_below, find, has_file
from fer_core.data.faces import Example, Listing
from fer_core.errors import DataError
from fer_core.labels import Expression, as_expression

LISTS = ("EmoLabel/list_patition_label.txt", "EmoLabel/list_partition_label.txt")
SEXES = {"0": "M", "1": "F"}
RACES = {"0": "Caucasian", "1": "African American", "2": "Asian"}
AGES = {"0": 1.5, "1": 11.5, "2": 29.5, "3": 54.5, "4": 70.0}
"""Middles of the age groups 0-3, 4-19, 20-39 and 40-69, and the lower end of 70+, in years."""

_AGE_NOTE = "ages are the middle of an age group: 0-3, 4-19, 20-39, 40-69 years, and 70 for 70+"


def list_rafdb(folder: Path, labels: Mapping[str, str]) -> Listing:
    """List the aligned faces (the original pictures where there are none), or a copy with one folder per label.

    Raises:
        DataError: there is neither.
    """
    table = find(folder, *LISTS)
    return _from_list(table, labels) if table else _from_folders(folder, labels)


def _from_list(table: Path, labels: Mapping[str, str]) -> Listing:
    root = table.parent.parent
    aligned = root / "Image" / "aligned"
    images, suffix = (aligned, "_aligned") if aligned.is_dir() else (root / "Image" / "original", "")
    attributes = root / "Annotation" / "manual"
    tally = Tally(notes=[_AGE_NOTE] if attributes.is_dir() else [])
    for line, text in enumerate(read_lines(table), start=1):
        name, _, code = text.strip().partition(" ")
        expression = as_expression(labels.get(code.strip(), ""))
        stem = name.removesuffix(".jpg")
        path = images / f"{stem}{suffix}.jpg"
        if expression is None:
            tally.skip(f"{table}:{line}", f"{text.strip()[:80]!r} is not of the form 'train_00001.jpg 5'")
        elif not has_file(path):
            tally.skip(f"{table}:{line}", f"no such image: {path}")
        else:
            tally.take(_example(path, expression, attributes / f"{stem}_manu_attri.txt"))
    return tally.listing()


def _from_folders(folder: Path, labels: Mapping[str, str]) -> Listing:
    tally = Tally()
    for path in files_below(folder):
        expression = as_expression(labels.get(path.parent.name, ""))
        split = path.parent.parent.name
        if expression is None or split not in {"train", "test"}:
            tally.skip(path, "is not at train/<label>/ or test/<label>/ with a label from 1 to 7")
        else:
            tally.take(Example(path, expression, split=split))
    if not tally.examples:
        raise DataError(f"{folder}: holds neither EmoLabel/list_patition_label.txt nor folders train/1 to train/7")
    return tally.listing()


def _example(path: Path, expression: Expression, attributes: Path) -> Example:
    """Five lines of landmarks, then the codes of sex, race and age group."""
    codes = read_lines(attributes)[5:8] if has_file(attributes) else []
    sex, race, age = (*(code.strip() for code in codes), "", "", "")[:3]
    return Example(
        path=path,
        expression=expression,
        group=RACES.get(race, ""),
        sex=SEXES.get(sex, ""),
        age=AGES.get(age),
        split=path.name.partition("_")[0],
    )

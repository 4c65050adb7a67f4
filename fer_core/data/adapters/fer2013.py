"""FER2013: the competition's table of pixels, copies of it in folders, and the votes of FER+."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fer_core.data.adapters.folders import list_folders
from fer_core.data.adapters.rows import read_rows
from fer_core.data.adapters.tally import Tally, find, need
from fer_core.data.faces import Example, Listing
from fer_core.errors import DataError

COLUMNS = ("emotion", "pixels", "Usage")
TABLES = ("fer2013.csv", "icml_face_data.csv")
VOTES = "fer2013new.csv"

USAGES = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
"""The competition's names of the official splits, in the table and in the names of files."""

_PIXELS = 48 * 48


def list_fer2013(folder: Path, labels: Mapping[str, str]) -> Listing:
    """List the rows of ``fer2013.csv``, or the images in one folder per class.

    A row's ``frame`` is its number, from 0. In the folder layout the official split follows from the name of a file
    (``PublicTest_...``), where it says one, because copies sort the public and the private test differently.

    Raises:
        DataError: there is neither, or the table lacks a column.
    """
    table = find(folder, *TABLES)
    if table is None:
        listing = list_folders(folder, split="all")
        return replace(listing, examples=tuple(map(_with_official_split, listing.examples)))
    tally = Tally()
    for frame, (line, row) in enumerate(read_rows(table, COLUMNS)):
        label = labels.get(row["emotion"])
        if label is None:
            tally.skip(f"{table}:{line}", f"emotion {row['emotion']!r} is none of {', '.join(labels)}")
        elif _usable(tally, f"{table}:{line}", row):
            _take(tally, table, frame, row, label)
    return tally.listing()


def list_ferplus(folder: Path, labels: Mapping[str, str]) -> Listing:
    """List the rows of ``fer2013.csv`` with the labels that the votes of ``fer2013new.csv`` give them.

    Raises:
        DataError: one of the tables is missing, lacks a column, or has another number of rows.
    """
    table, votes = need(folder, *TABLES), need(folder, VOTES)
    words = list(labels)
    ballots = [_ballot(row, words) for _, row in read_rows(votes, ["Usage", *(_column(word) for word in words)])]
    rows = read_rows(table, COLUMNS)
    tally = Tally()
    try:
        for frame, ((line, row), ballot) in enumerate(zip(rows, ballots, strict=True)):
            if ballot is None:
                tally.skip(f"{votes}:{line}", "votes are no numbers")
            elif _usable(tally, f"{table}:{line}", row):
                _take(tally, table, frame, row, labels.get(majority(ballot), "no majority"))
    except ValueError as error:
        raise DataError(f"{votes}: has not as many rows as {table.name}: they are joined by row") from error
    return tally.listing()


def majority(votes: Mapping[str, float]) -> str:
    """Return the word with more than half of the *votes*, or ``""``; single votes are set aside first.

    The mode "majority" of the authors' code, src/ferplus.py (Barsoum et al., ICMI 2016).
    """
    counted = {word: count for word, count in votes.items() if count > 1}
    best = max(counted, key=counted.__getitem__, default="")
    return best if best and counted[best] > sum(counted.values()) / 2 else ""


def _usable(tally: Tally, where: str, row: Mapping[str, str]) -> bool:
    """Tell whether a row has all its pixels and a known split; *tally* gets the row if not."""
    pixels = row["pixels"].count(" ") + 1
    if pixels != _PIXELS:
        tally.skip(where, f"has {pixels} pixels, not {_PIXELS}")
    elif row["Usage"] not in USAGES:
        tally.skip(where, f"Usage {row['Usage']!r} is none of {', '.join(USAGES)}")
    else:
        return True
    return False


def _take(tally: Tally, table: Path, frame: int, row: Mapping[str, str], label: str) -> None:
    expression = tally.wanted(label, f"{table}#{frame}")
    if expression is not None:
        tally.take(Example(path=table, expression=expression, split=USAGES[row["Usage"]], frame=frame))


def _with_official_split(example: Example) -> Example:
    usage = example.path.name.partition("_")[0]
    return replace(example, split=USAGES.get(usage, example.split))


def _column(word: str) -> str:
    return "NF" if word == "nf" else word


def _ballot(row: Mapping[str, str], words: list[str]) -> dict[str, float] | None:
    try:
        return {word: float(row[_column(word)]) for word in words}
    except ValueError:
        return None

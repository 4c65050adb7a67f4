"""CK+: sequences of frames from neutral to the peak, a label file for a part of them."""

from collections.abc import Mapping
from pathlib import Path

from fer_core.data.adapters.rows import read_lines
from fer_core.data.adapters.tally import Tally, files_below
from fer_core.data.faces import Example, Listing
from fer_core.errors import DataError

_LABELS = "_emotion.txt"


def list_ckplus(folder: Path, labels: Mapping[str, str]) -> Listing:
    """List the first frame (neutral) and the last (the labelled emotion) of every labelled sequence.

    Sequences are told by their two last folders, ``S005/001``, wherever they lie. Sequences without a label, and peaks
    with another label (contempt), are dropped.

    Raises:
        DataError: the folder is missing or holds no labelled sequence.
    """
    frames: dict[tuple[str, str], list[Path]] = {}
    for path in files_below(folder):
        frames.setdefault(_sequence(path), []).append(path)
    told = {_sequence(path): path for path in files_below(folder, frozenset({".txt"})) if path.name.endswith(_LABELS)}
    if not told:
        raise DataError(f"{folder}: holds no Emotion/S005/001/S005_001_00000011{_LABELS}; unpack the labels there too")
    tally = Tally()
    for sequence, paths in frames.items():
        if sequence not in told:
            tally.drop("sequence without a label", paths[-1])
    for sequence, path in sorted(told.items()):
        _take(tally, path, sorted(frames.get(sequence, []), key=lambda frame: frame.name), labels)
    between = sum(max(0, len(paths) - 2) for sequence, paths in frames.items() if sequence in told)
    tally.notes.append(f"{between} frames between the first and the last of a labelled sequence are not used")
    return tally.listing()


def _take(tally: Tally, told: Path, frames: list[Path], labels: Mapping[str, str]) -> None:
    try:
        label = labels[str(int(float(" ".join(read_lines(told)))))]
    except (DataError, ValueError, KeyError, OverflowError):
        tally.skip(told, "holds no emotion from 0 to 7")
        return
    if len(frames) < 2:
        tally.skip(told, f"its sequence has {len(frames)} frame(s); a first and a last are needed")
        return
    subject = told.parent.parent.name
    tally.take(Example(frames[0], "neutral", subject=subject, population="adults"))
    expression = tally.wanted(label, frames[-1])
    if expression is not None:
        tally.take(Example(frames[-1], expression, subject=subject, population="adults"))


def _sequence(path: Path) -> tuple[str, str]:
    return path.parent.parent.name, path.parent.name

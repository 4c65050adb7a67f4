"""EmoReact: clips with up to eight emotions each, told by a list of names and a list of labels for every split."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fer_core.data.adapters.rows import read_lines
from fer_core.data.adapters.tally import Tally, find, has_file
from fer_core.data.adapters.videos import with_frames
from fer_core.data.faces import Example, Listing
from fer_core.errors import DataError

SPLITS = {
    "train": ("Train_names.txt", "train_labels.text", ("Train",)),
    "validation": ("Val_names.txt", "val_labels.text", ("Validation", "Val")),
    "test": ("Test_names.txt", "test_labels.text", ("Test",)),
}
"""Of each official split: the names of its clips, their labels, and the folders that may hold them."""


def list_emoreact(folder: Path, labels: Mapping[str, str], rate: float) -> Listing:
    """List the frames, *rate* a second, of the clips with exactly one emotion that is one of the seven.

    Nobody tells which child a clip shows: a clip is a subject of its own, so that its frames stay together.

    Raises:
        DataError: no split is complete, or names and labels are not equally many.
    """
    tally = Tally()
    found = 0
    for split, (names, codes, folders) in SPLITS.items():
        name_list, code_list = find(folder, names), find(folder, codes)
        clips = next((path for name in folders if (path := find(folder, name, f"Data/{name}")) is not None), None)
        if name_list and code_list and clips:
            found += 1
            for clip, shown in _clips(tally, name_list, code_list, clips, list(labels)):
                _take(tally, clip, shown, split)
        else:
            tally.skip(folder, f"{split} is incomplete: needs {names}, {codes} and {' or '.join(folders)}/")
    if not found:
        raise DataError(f"{folder}: holds no Labels/Train_names.txt with Labels/train_labels.text and Data/Train")
    return with_frames(tally.listing(), rate)


def _clips(
    tally: Tally, names: Path, codes: Path, clips: Path, words: Sequence[str]
) -> Iterator[tuple[Path, list[str]]]:
    """Yield every clip that is there, with the *words* that its line of labels says; *tally* gets the others."""
    said = [_unquoted(line) for line in read_lines(names) if line.strip()]
    rows = [line for line in read_lines(codes) if line.strip()]
    if len(said) != len(rows):
        raise DataError(f"{codes}: has {len(rows)} lines, {names.name} has {len(said)}: they are joined by line")
    for line, (name, row) in enumerate(zip(said, rows, strict=True), start=1):
        cells = [cell.strip() for cell in row.split(",")][: len(words)]
        if len(cells) < len(words) or not {"0", "1"}.issuperset(cells):
            tally.skip(f"{codes}:{line}", f"{row[:80]!r} does not begin with {len(words)} times 0 or 1")
        elif not has_file(clips / name):
            tally.skip(f"{names}:{line}", f"no such clip: {clips / name}")
        else:
            yield clips / name, [word for word, cell in zip(words, cells, strict=True) if cell == "1"]


def _take(tally: Tally, path: Path, shown: Sequence[str], split: str) -> None:
    label = shown[0] if len(shown) == 1 else "several emotions" if shown else "no emotion"
    expression = tally.wanted(label, path)
    if expression is not None:
        tally.take(Example(path, expression, subject=path.stem, population="children", split=split))


def _unquoted(line: str) -> str:
    """``'80''sTOYS105_2.mp4'`` -> ``80'sTOYS105_2.mp4``."""
    text = line.strip()
    return text[1:-1].replace("''", "'") if text.startswith("'") and text.endswith("'") else text

"""CAFE, the Child Affective Facial Expression set (LoBue & Thrasher 2015, Databrary volume 30), in its own file layout.

A download unzips to ``sessions/<session>/<number>-<expression>_<F|M>-<ETH>-<NN>.jpg``, for example
``sessions/6401/10541-happy_F-EA-14.jpg``. A suffix ``open`` (or, for disgust, a tongue) means an open mouth; surprise
was posed with an open mouth only.
"""

import re
from pathlib import Path

from fer_core.data.adapters.rows import read_lines
from fer_core.data.adapters.tally import Tally, files_below, require_folder
from fer_core.data.catalog import card
from fer_core.data.faces import Example, Listing, Skipped
from fer_core.errors import DataError
from fer_core.labels import as_expression

GROUP_NAMES = {
    "AA": "African American",
    "AS": "Asian",
    "EA": "European American",
    "LA": "Latino",
    "PI": "Pacific Islander",
    "SA": "South Asian",
}

_NAME = re.compile(
    r"(?P<number>\d+)-(?P<expression>[A-Za-z]+)[ _-]+(?P<sex>[FM])-(?P<group>[A-Z]{2})-(?P<child>\d+)"
    r"\.(?:jpe?g|png)",
    re.IGNORECASE,
)
_FORM = "<number>-<expression>[open]_<F|M>-<ETH>-<NN>.jpg"


def parse_name(path: Path, *, pacific_islanders: str = "AS") -> Example | Skipped:
    """Read what the name of one CAFE photograph says; a name that says something else is skipped with the reason.

    Expressions are recognised by their first three letters: spellings vary (fear, fearful; disgust, disgusted).
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        return Skipped(str(path), f"name is not of the form {_FORM}")
    word = match["expression"].lower()
    expression = as_expression(card("cafe").labels.get(word[:3], ""))
    if expression is None:
        return Skipped(str(path), f"unknown expression {match['expression']!r}")
    group = match["group"].upper()
    if group not in GROUP_NAMES:
        return Skipped(str(path), f"unknown ethnicity code {group!r} (known: {', '.join(GROUP_NAMES)})")
    sex = match["sex"].upper()
    return Example(
        path=path,
        expression=expression,
        subject=f"{sex}-{group}-{match['child']}",
        group=pacific_islanders if group == "PI" else group,
        population="children",
        sex=sex,
        mouth_open=expression == "surprise" or "open" in word or "tongue" in word,
    )


def list_cafe(folder: Path, *, pacific_islanders: str = "AS", subset: Path | None = None) -> Listing:
    """List the photographs below *folder* or its ``sessions`` subfolder, or those of them that *subset* names.

    *subset* is a text file, one photograph a line: the file's name or its number. Files that are no images
    (spreadsheets, hidden files) are passed over; images whose name cannot be read are skipped with a reason.

    Raises:
        DataError: the folder or the subset is missing, or nothing in it is a CAFE photograph.
    """
    require_folder(folder)
    tally = Tally()
    wanted = _Subset(subset) if subset else None
    for path in files_below(folder / "sessions" if (folder / "sessions").is_dir() else folder):
        found = parse_name(path, pacific_islanders=pacific_islanders)
        if isinstance(found, Skipped):
            tally.skip(found.path, found.reason)
        elif wanted is None or wanted.has(path):
            tally.take(found)
    if not tally.examples:
        raise DataError(
            f"{folder}: none of its images is a photograph of CAFE ({_FORM}){f' in {subset}' if subset else ''}; "
            "'fer-data check' tells which set a folder holds"
        )
    for where, name in wanted.missing() if wanted else ():
        tally.skip(where, f"no photograph {name!r} below {folder}")
    return tally.listing()


class _Subset:
    """The photographs that a list names, each with its line."""

    def __init__(self, path: Path) -> None:
        lines = read_lines(path)
        self._lines = {line.strip().lower(): f"{path}:{number}" for number, line in enumerate(lines, 1) if line.strip()}
        self._met: set[str] = set()

    def has(self, photograph: Path) -> bool:
        name = photograph.name.lower()
        keys = {name, photograph.stem.lower(), name.partition("-")[0]} & self._lines.keys()
        self._met |= keys
        return bool(keys)

    def missing(self) -> list[tuple[str, str]]:
        return [(where, name) for name, where in self._lines.items() if name not in self._met]

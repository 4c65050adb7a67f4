"""CAFE, the Child Affective Facial Expression set (LoBue & Thrasher 2015, Databrary volume 30), in its own file layout.

A download unzips to ``sessions/<session>/<number>-<expression>_<F|M>-<ETH>-<NN>.jpg``, for example
``sessions/6401/10541-happy_F-EA-14.jpg``. A suffix ``open`` (or, for disgust, a tongue) means an open mouth; surprise
was posed with an open mouth only.
"""

import re
from pathlib import Path

from fer_core.data.adapters.tally import Tally, images_below, require_folder
from fer_core.data.faces import Example, Listing, Skipped
from fer_core.errors import DataError
from fer_core.labels import Expression

GROUP_NAMES = {
    "AA": "African American",
    "AS": "Asian",
    "EA": "European American",
    "LA": "Latino",
    "PI": "Pacific Islander",
    "SA": "South Asian",
}

PREFIXES: dict[str, Expression] = {
    "ang": "anger",
    "dis": "disgust",
    "fea": "fear",
    "hap": "happiness",
    "neu": "neutral",
    "sad": "sadness",
    "sur": "surprise",
}
"""Expressions are recognised by their first three letters: spellings vary (fear, fearful; disgust, disgusted)."""

_NAME = re.compile(
    r"(?P<number>\d+)-(?P<expression>[A-Za-z]+)[ _-]+(?P<sex>[FM])-(?P<group>[A-Z]{2})-(?P<child>\d+)"
    r"\.(?:jpe?g|png)",
    re.IGNORECASE,
)
_FORM = "<number>-<expression>[open]_<F|M>-<ETH>-<NN>.jpg"


def parse_name(path: Path, *, pacific_islanders: str = "AS") -> Example | Skipped:
    """Read what the name of one CAFE photograph says; a name that says something else is skipped with the reason."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return Skipped(str(path), f"name is not of the form {_FORM}")
    word = match["expression"].lower()
    expression = PREFIXES.get(word[:3])
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


def list_cafe(folder: Path, *, pacific_islanders: str = "AS") -> Listing:
    """List the photographs below *folder* or its ``sessions`` subfolder.

    Files that are no images (spreadsheets, hidden files) are passed over; images whose name cannot be read are
    skipped with a reason.

    Raises:
        DataError: the folder is missing or holds no CAFE photograph.
    """
    require_folder(folder)
    tally = Tally()
    for path in images_below(folder / "sessions" if (folder / "sessions").is_dir() else folder):
        found = parse_name(path, pacific_islanders=pacific_islanders)
        if isinstance(found, Example):
            tally.take(found)
        else:
            tally.skip(found.path, found.reason)
    if not tally.examples:
        raise DataError(
            f"{folder}: none of its {len(tally.skipped)} image(s) is named like CAFE's ({_FORM}); "
            "'fer-data check' tells which set a folder holds"
        )
    return tally.listing()

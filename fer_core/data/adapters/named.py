"""Sets whose file names say everything: JAFFE, KDEF, RaFD, NIMH-ChEFS, DDCF, DEFSS, FACES, SFEW, LIRIS-CSE.

How they say it stands in their cards (``[names]``): a pattern with named groups, and tables of codes.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from fer_core.data.adapters.folders import official_split
from fer_core.data.adapters.tally import IMAGES, Tally, files_below
from fer_core.data.catalog import Names
from fer_core.data.faces import Example, Listing
from fer_core.errors import DataError
from fer_core.labels import Expression


def list_named(folder: Path, names: Names, labels: Mapping[str, str], endings: frozenset[str] = IMAGES) -> Listing:
    """List the files below *folder* whose names *names* understands; *labels* translates its codes of expressions.

    Raises:
        DataError: the folder is missing, or no name in it is understood.
    """
    pattern = re.compile(names.pattern, re.IGNORECASE)
    tally = Tally(notes=[names.note] if names.note else [])
    for path in files_below(folder, endings):
        match = pattern.search(path.relative_to(folder).as_posix())
        if match is None:
            tally.skip(path, f"name is not of the form {names.form}")
            continue
        told = match.groupdict(default="")
        code = told["expression"] or names.silent
        label = labels.get(code.lower())
        if label is None:
            tally.skip(path, f"unknown expression {code!r} (known: {', '.join(labels)})")
        elif (expression := tally.wanted(label, path)) is not None:
            tally.take(_example(path, told, names, expression))
    listing = tally.listing()
    if not listing.examples and not listing.dropped:
        raise DataError(
            f"{folder}: none of its {len(listing.skipped)} file(s) is named like {names.form}; "
            "'fer-data check' tells which set a folder holds"
        )
    return listing


def _example(path: Path, told: Mapping[str, str], names: Names, expression: Expression) -> Example:
    group = told.get("group", "").lower()
    return Example(
        path=path,
        expression=expression,
        subject=told.get("subject", ""),
        group=names.groups.get(group, names.group),
        population=names.populations.get(group, names.population),
        sex=told.get("sex", "")[:1].upper() or names.sex,
        age=_age(told.get("age", "").lower(), names.ages),
        split=official_split(told.get("split", "")),
    )


def _age(code: str, ages: Mapping[str, float]) -> float | None:
    if code in ages:
        return ages[code]
    return float(code) if code.isdecimal() else None

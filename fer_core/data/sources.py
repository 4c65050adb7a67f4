"""Where faces come from, as a value that stands in a study.toml. Light: pydantic only."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from fer_core.specs import Population, Spec

Layout = Literal[
    "cafe",
    "fer2013",
    "ferplus",
    "affectnet",
    "raf-db",
    "expw",
    "ck+",
    "jaffe",
    "kdef",
    "rafd",
    "nimh-chefs",
    "ddcf",
    "emoreact",
    "liris-cse",
    "defss",
    "sfew",
    "faces",
    "folders",
    "table",
]
"""The names of the catalogue (``fer-data catalog``)."""

Cropping = Literal["centre", "box", "detect"]
"""How faces are cut out of photographs: the centre square, the set's own box, or what a detector finds."""

_VIDEOS: tuple[Layout, ...] = ("emoreact", "liris-cse")
_BELONGS: dict[str, tuple[Layout, ...]] = {
    "subject_pattern": ("folders",),
    "pacific_islanders": ("cafe",),
    "subset": ("cafe",),
    "frame_rate": _VIDEOS,
    "columns": ("table",),
}
"""Keys that only some layouts know."""


class TableColumns(Spec):
    """The columns of a layout ``"table"``: for each thing that an example says, how the table calls it."""

    path: str = "path"
    expression: str = "expression"
    subject: str = "subject"
    age: str = "age"
    group: str = "group"
    split: str = "split"


class DataSource(Spec):
    """One set of faces on disk and how to read it.

    ``layout`` names the set: ``fer-data catalog`` lists them, ``fer-data check`` recognises them. Two are generic:
    ``"folders"``, one folder per class, with or without a folder per split above
    (``<path>/<split>/<label>/<name>``), and ``"table"``, where ``path`` is the table. ``split`` is the official split
    to use where the set has splits: ``"train"``, ``"validation"``, ``"test"``, or ``"all"``.

    Whom an image shows follows from its age where that is known: under ``age_border`` years children, else adults;
    otherwise from the set's own statement (CAFE: children); otherwise from ``population``, where ``"all"`` means mixed
    or unknown. ``ages`` is a CSV file with the columns ``name`` (of the file; for rows of FER2013's table a name that
    begins with the number of the row, from 0) and ``age``, for sets that tell none.

    ``subject_pattern`` belongs to ``"folders"``: a regular expression, searched in ``<label>/<name>``, with a named
    group ``subject`` and, if the names tell, ``group`` and ``sex``. ``pacific_islanders`` is the group that CAFE's
    code PI is counted in: the published group sizes put it inside Asian (AS). ``subset`` is a text file with one CAFE
    photograph a line, by name or number: the others are left out. ``frame_rate`` is how many frames a second are taken
    from videos. ``columns`` says how a ``"table"`` calls its columns.

    ``faces`` says how they are cut out: ``"centre"`` (they are cropped already), ``"box"`` (the set tells where they
    are), ``"detect"`` (a detector finds them and turns their eyes level; where it finds none, the centre). Left out: as
    suits the set. Of photographs that show the same, one is used, unless ``duplicates`` is ``"keep"``.
    """

    layout: Layout
    path: Path
    split: Annotated[str, Field(min_length=1)] = "train"
    population: Population = "all"
    age_border: Annotated[float, Field(gt=0, le=120)] = 13.0
    ages: Path | None = None
    subject_pattern: str | None = None
    pacific_islanders: Literal["AS", "PI"] = "AS"
    subset: Path | None = None
    frame_rate: Annotated[float, Field(gt=0, le=60)] = 2.0
    columns: TableColumns = TableColumns()
    faces: Cropping | None = None
    duplicates: Literal["drop", "keep"] = "drop"

    @field_validator("subject_pattern")
    @classmethod
    def _pattern_compiles(cls, value: str | None) -> str | None:
        if value is None:
            return value
        try:
            names = re.compile(value).groupindex
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        if "subject" not in names:
            raise ValueError("needs a named group (?P<subject>...)")
        if unknown := set(names) - {"subject", "group", "sex"}:
            raise ValueError(f"knows the named groups subject, group and sex, not {', '.join(sorted(unknown))}")
        return value

    @model_validator(mode="after")
    def _keys_belong_to_the_layout(self) -> "DataSource":
        for key, layouts in _BELONGS.items():
            if self.layout not in layouts and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"{key} belongs to layout {' or '.join(map(repr, layouts))}, not to {self.layout!r}")
        if self.layout == "cafe" and self.population == "adults":
            raise ValueError("population: CAFE shows children only")
        return self

    def below(self, root: Path) -> "DataSource":
        """Return this source with *root* before every relative path."""
        named = {key: root / path for key, path in self.paths().items()}
        return self.model_copy(update=named)

    def paths(self) -> dict[str, Path]:
        """Return every file or folder that the source names, by its key."""
        return {key: path for key in ("path", "ages", "subset") if (path := getattr(self, key)) is not None}

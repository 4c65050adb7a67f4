"""The catalogue: one card a set, read from ``cards/<name>.toml``. What a set is, how to get it, what its files say.

A card is the one place for a set's codes: the adapters read its ``labels`` and ``names``, ``recognise`` its layouts,
``fer-data check`` its expected counts, and the contact sheet its terms.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from fer_core.data.sources import Cropping, DataSource, Layout
from fer_core.labels import Expression
from fer_core.specs import Population, Spec

_CARDS = Path(__file__).with_name("cards")

Shown = Literal["children", "adults"]


class Mark(Spec):
    """A sign by which a layout is recognised.

    ``path`` is a regular expression, searched in paths relative to the folder (``/`` between parts). The sign is there
    if one file matches, or, where ``share`` is above 0, if that share of the images (videos) does. ``columns`` must
    stand in the first line of a matching table. ``shown`` tells a person what is looked for.
    """

    shown: str
    path: str
    share: Annotated[float, Field(ge=0, le=1)] = 0.0
    columns: tuple[str, ...] = ()

    @field_validator("path")
    @classmethod
    def _compiles(cls, value: str) -> str:
        re.compile(value)
        return value


class Form(Spec):
    """One way in which a set is laid out on disk: an example tree, and the signs to recognise it by."""

    tree: str
    marks: Annotated[tuple[Mark, ...], Field(min_length=1)]


class Names(Spec):
    """How the file names of a set speak.

    ``pattern`` is a regular expression, searched in the path below the folder without regard to case, with a named
    group ``expression`` and, where the names tell, ``subject``, ``sex``, ``age``, ``group`` and ``split``. An
    ``age`` is a number of years or a code of ``ages``. ``groups`` and ``populations`` translate codes of ``group``;
    ``group``, ``population`` and ``sex`` hold for every image that has no code. A name without an expression means the
    code ``silent``. ``note`` is told to the user.
    """

    form: str
    pattern: str
    group: str = ""
    groups: Mapping[str, str] = {}
    population: str = ""
    populations: Mapping[str, Shown] = {}
    ages: Mapping[str, float] = {}
    silent: str = ""
    sex: Literal["", "F", "M"] = ""
    note: str = ""

    @field_validator("pattern")
    @classmethod
    def _tells_the_expression(cls, value: str) -> str:
        if "expression" not in re.compile(value).groupindex:
            raise ValueError("needs a named group (?P<expression>...)")
        return value


class Expected(Spec):
    """Published or counted numbers of a complete copy; what is left out is not known.

    ``images`` are all labelled images (of a set of videos: ``clips``), those with another label included;
    ``by_class``, ``by_split`` and ``subjects`` count the usable ones, ``by_group`` subjects. ``source`` says who
    counted; ``confirmed`` is false for numbers that nobody here could check against the set or its label table.
    """

    source: str
    confirmed: bool
    images: int | None = None
    clips: int | None = None
    subjects: int | None = None
    by_class: Mapping[Expression, int] = {}
    by_split: Mapping[str, int] = {}
    by_group: Mapping[str, int] = {}


class Card(Spec):
    """Everything that is known about one set.

    ``shows`` are the populations that the set itself tells (empty: it does not). ``labels`` translates the set's codes,
    in lower case, to the seven expressions or to another word, which is then dropped and counted. ``faces`` is how they
    are cut out unless a source says otherwise.
    """

    name: Layout
    title: str
    about: str
    population: str
    shows: tuple[Shown, ...] = ()
    licence: str
    may_show_faces: bool
    faces: Cropping = "detect"
    access: str
    labels: Mapping[str, str] = {}
    subjects: str
    ages: str
    groups: str
    splits: tuple[str, ...] = ()
    citation: str
    layouts: tuple[Form, ...] = ()
    names: Names | None = None
    expected: Expected | None = None


@cache
def card(name: Layout) -> Card:
    """Return the card of the set *name*."""
    text = (_CARDS / f"{name}.toml").read_text(encoding="utf-8")
    return Card.model_validate({"name": name, **tomllib.loads(text)})


def catalog() -> tuple[Card, ...]:
    """Return every card, in the order of :data:`fer_core.data.sources.Layout`."""
    return tuple(card(name) for name in get_args(Layout))


def populations_of(source: DataSource) -> tuple[Population, ...]:
    """Return whom *source* may show: as its set states, else as the source does; ``"all"`` stands for "unknown"."""
    if source.ages is not None or source.layout in {"raf-db", "table"}:
        return ("all",)
    return card(source.layout).shows or (source.population,)

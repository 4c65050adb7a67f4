"""Pictures of counts: classes, groups, ages and splits of a face set. Bars and words, never a photograph."""

import io
from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core.data.faces import FaceSet
from fer_core.errors import ConfigError, DataError
from fer_core.labels import EXPRESSIONS
from fer_core.specs import Spec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".html")
"""Endings that :func:`plot` understands."""
_AGE_EDGES = tuple(range(0, 95, 5))


class Statistics(Spec):
    """Images of a set by class, by class in each group, by age (bands of five years) and by official split.

    ``""`` is unknown. ``subjects`` counts people that the set tells apart; an image without one counts as one.
    """

    images: int
    subjects: int
    synthetic: bool
    by_class: dict[str, int]
    by_group: dict[str, dict[str, int]]
    by_population: dict[str, int]
    by_age: dict[str, int]
    by_split: dict[str, int]


def statistics(faces: FaceSet) -> Statistics:
    """Count *faces*."""
    names = [EXPRESSIONS[label] for label in faces.labels.tolist()]
    groups = sorted(set(faces.groups.tolist()))
    return Statistics(
        images=len(faces),
        subjects=len(set(faces.subjects.tolist())),
        synthetic=faces.synthetic,
        by_class=_counted(names, EXPRESSIONS),
        by_group={
            group: _counted((n for n, g in zip(names, faces.groups, strict=True) if g == group), EXPRESSIONS)
            for group in groups
        },
        by_population=_counted(faces.populations.tolist()),
        by_age=_counted(map(_band, faces.ages.tolist()), (*map(_band, _AGE_EDGES), "")),
        by_split=_counted(faces.splits.tolist()),
    )


def _band(age: float) -> str:
    if np.isnan(age):
        return ""
    low = min(int(age) // 5 * 5, _AGE_EDGES[-1])
    return f"{low}+" if low == _AGE_EDGES[-1] else f"{low}-{low + 4}"


def _counted(values: Iterable[str], order: Iterable[str] | None = None) -> dict[str, int]:
    counts = Counter(values)
    return {name: counts[name] for name in (sorted(counts) if order is None else order)}


def plot(found: Statistics, title: str, file: Path) -> None:
    """Draw *found* into *file*: a PNG, an SVG, or a page that needs nothing else.

    Raises:
        ConfigError: the name ends in none of ``FORMATS``.
        DataError: the file cannot be written.
    """
    if file.suffix.lower() not in FORMATS:
        raise ConfigError(f"{file}: a plot ends in {', '.join(FORMATS)}")
    stream = io.BytesIO()
    html = file.suffix.lower() == ".html"
    _figure(found, title).savefig(stream, format="svg" if html else file.suffix[1:].lower(), dpi=120)
    content = _page(title, stream.getvalue().decode()).encode() if html else stream.getvalue()
    try:
        file.write_bytes(content)
    except OSError as error:
        raise DataError(f"{file}: cannot be written: {error.strerror}") from error


def _page(title: str, svg: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<body style="margin:2rem">{svg[svg.index("<svg") :]}</body></html>\n'
    )


def _figure(found: Statistics, title: str) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), layout="constrained")
    people = f"{found.images:,} images, {found.subjects:,} subjects{', synthetic' if found.synthetic else ''}"
    figure.suptitle(f"{title}: {people}".replace("$", r"\$"))
    axes = figure.subplots(2, 2)
    _bars(axes[0, 0], "class", found.by_class)
    _stacked(axes[0, 1], "group, by class", found.by_group)
    ages = {age: count for age, count in found.by_age.items() if age}
    _bars(axes[1, 0], f"age in years ({found.by_age[''] or 'none'} unknown)", ages)
    _bars(axes[1, 1], "official split", found.by_split)
    return figure


def _bars(axes: "Axes", title: str, counts: Mapping[str, int]) -> None:
    names = [name or "unknown" for name in counts]
    axes.bar(names, list(counts.values()), color="#4878a8")
    axes.set_title(title)
    axes.tick_params(axis="x", rotation=60 if len(names) > 5 else 0)


def _stacked(axes: "Axes", title: str, by_group: Mapping[str, Mapping[str, int]]) -> None:
    names = [(group or "unknown").replace("$", r"\$") for group in by_group]
    base = np.zeros(len(names))
    for expression in EXPRESSIONS:
        heights = np.array([counts[expression] for counts in by_group.values()])
        axes.bar(names, heights, bottom=base, label=expression)
        base += heights
    axes.set_title(title)
    axes.legend(fontsize="small")

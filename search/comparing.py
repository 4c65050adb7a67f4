"""Two exported models on the same faces: what both predict, that the images are the same, and what differs."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_core import scoring
from fer_core.comparison import Comparison, Difference, compare
from fer_core.data.faces import FaceSet
from fer_core.data.loading import load_faces
from fer_core.data.sources import DataSource
from fer_core.data.splits import halves
from fer_core.errors import DataError
from search.errors import StudyError
from search.exporting import model_of, trial_of
from search.folder import StudyFolder
from search.ledger import Ledger
from search.tables import SYNTHETIC, points

WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Contestant:
    """A .tflite, what people call it, and the faces that judge it."""

    name: str
    model: Path
    source: DataSource


@dataclass(frozen=True, slots=True)
class Judged:
    """What one model predicted for *faces*: class indices (n,)."""

    name: str
    faces: FaceSet
    predicted: NDArray[np.int64]


def contestant(text: str, source: DataSource | None, studies: Path | None) -> Contestant:
    """Return what *text* names: a .tflite, a folder that ``fer-search export`` wrote, or ``STUDY:TRIAL``.

    *source* are the faces that judge; left out, a trial is judged by those of its study.

    Raises:
        StudyError: there is no such file, study or trial, or nothing tells which faces judge a file.
    """
    study, _, trial = text.rpartition(":")
    if study and trial.isdecimal():
        folder = StudyFolder.find(study, studies)
        with Ledger.open(folder.ledger_path, readonly=True) as ledger:
            record = ledger.record()
        model = model_of(record, trial_of(record, int(trial)), folder.artifacts_path)
        return Contestant(text, model, source or folder.config.data.evaluation)
    path = Path(text)
    path = path / "model.tflite" if path.is_dir() else path
    if not path.is_file():
        raise StudyError(f"{text}: is no .tflite, no exported folder and no STUDY:TRIAL (demo:7)")
    if source is None:
        raise StudyError(f"{text}: a file does not say which faces judge it; name them with --data")
    return Contestant(text, path, source)


def judged(who: Contestant, cache: Path) -> Judged:
    """Let *who* predict its faces; *cache* is the folder of decoded faces.

    Raises:
        UnreadableModelError, DataError: the file cannot be run, or there is no face.
    """
    faces = _faces(who.source, scoring.input_size_of(who.model), cache)
    return Judged(who.name, faces, scoring.predict(who.model, faces.images).argmax(axis=1))


def contest(first: Contestant, second: Contestant) -> tuple[dict[str, Comparison], bool]:
    """Return ``comparisons`` of *first* and *second*, and whether the faces are rendered.

    Raises:
        DataError: the two are judged by different faces.
    """
    with tempfile.TemporaryDirectory(prefix="fer-search-") as cache:
        one, two = (judged(who, Path(cache)) for who in (first, second))
        if first.source != second.source:  # other folders may hold the same faces: look at one size
            check_same(one, Judged(two.name, _faces(second.source, one.faces.size, Path(cache)), two.predicted))
        return comparisons(one, two), one.faces.synthetic


def check_same(first: Judged, second: Judged) -> None:
    """Refuse two that are judged by different images.

    Raises:
        DataError: they are.
    """
    one, two = first.faces, second.faces
    same = one.digest == two.digest if one.size == two.size else True
    columns = ((one.labels, two.labels), (one.subjects, two.subjects), (one.groups, two.groups))
    if not same or not all(np.array_equal(a, b) for a, b in columns):
        raise DataError(
            f"{first.name} and {second.name} are judged by different faces ({len(one)} and {len(two)} images), so "
            "they cannot be compared; name one set for both with --data"
        )


def comparisons(first: Judged, second: Judged) -> dict[str, Comparison]:
    """Compare *first* with *second* on the search half, the report half (where the set can be split) and the whole.

    Raises:
        DataError: the two are judged by different faces.
    """
    check_same(first, second)
    faces = first.faces
    parts: dict[str, NDArray[np.bool_]] = {WHOLE: np.ones(len(faces), dtype=np.bool_)}
    try:
        search, report = halves(faces.subjects, faces.groups, labels=faces.labels)
        parts = {"search half": search, "report half": report, **parts}
    except DataError:
        pass  # too small to be split
    columns = (faces.labels, first.predicted, second.predicted, faces.subjects, faces.groups)
    return {name: compare(*(column[part] for column in columns)) for name, part in parts.items() if part.any()}


def as_text(first: str, second: str, found: dict[str, Comparison], *, synthetic: bool) -> str:
    """Return *found* for people: points of 100, first minus second, with 95 % intervals."""
    lines = [f"{first} minus {second}, points of 100 [95 %]; same images, intervals over children"]
    for name, it in found.items():
        rates = {"macro-F1": it.macro_f1, "accuracy": it.accuracy, "gap": it.gap}
        told = [f"  {what:10}{_told(value)}" for what, value in rates.items() if value is not None]
        only = f"  only the first right: {it.only_first} images, only the second: {it.only_second}"
        head = f"{name}: {it.images} images, {it.subjects} subjects"
        lines += [head, *told, f"{only}; McNemar's exact p {it.mcnemar_p:.4f}"]
    if len(found) > 1:
        lines.append("A search chose its trials by the search half: quote the report half.")
    lines.append("McNemar's test takes images for independent; photographs of one child are not: trust the intervals.")
    return "\n".join([*lines, *([SYNTHETIC] if synthetic else [])])


def _told(found: Difference) -> str:
    ends = found.interval
    verdict = "excludes 0" if found.resolved else "does not exclude 0"
    return f"{points(found.value, ends.low, ends.high):>22}  {verdict}"


def _faces(source: DataSource, size: int, cache: Path) -> FaceSet:
    return load_faces([source], size, cache).of_population(source.population)

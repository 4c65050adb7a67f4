"""What a study learns about latency while it goes on: which candidates no phone need see, and which reading is strange.

The ledger has the features and the latency of each graph that was measured (rung 0). The driver writes them to a file
beside it, one line each, from which workers learn before they measure: what is surely over the bound is not measured,
what is probably over it lets others go first. Of a finished study the same predictor tells which latencies do not go
with the others. It decides about no number: whatever stands on a front was measured.
"""

import math
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from devicelab.measurement import Workload
from fer_core.specs import Spec
from search.objectives import Forecast
from search.prediction import COLUMNS, FEWEST, MOST, Example, Predictor, features_of
from search.record import Report, StudyRecord

STRANGE, APART = 5.0, 1.15
"""A latency is implausible if it is off by more than ``STRANGE`` times what others usually are, and by ``APART``."""
NORMAL_MAD = 1.4826
"""Standard deviation of a normal over its median absolute deviation."""


class Suspect(Spec):
    """A latency that does not go with those of the ``others``, whose operators let expect ``expected_ms``."""

    trial: int
    median_ms: float
    expected_ms: float
    others: int

    @property
    def sentence(self) -> str:
        """What to know about it."""
        return (
            f"trial {self.trial}: {self.median_ms:.1f} ms was measured, where the {self.others} other graphs of this "
            f"study let expect {self.expected_ms:.1f} ms: an implausible reading, or a graph of another kind."
        )


def example_of(report: Report) -> Example | None:
    """Return what *report* teaches: the latency of a graph, at rung 0."""
    latency = report.values.get("latency_ms", math.nan)
    known = report.rung == 0 and len(report.features) == len(COLUMNS) and math.isfinite(latency) and latency > 0
    return Example(features=report.features, median_ms=latency) if known else None


def examples_of(record: StudyRecord) -> dict[int, Example]:
    """Return what the trials of *record* teach, by their numbers."""
    found = {number: example_of(report) for number, trial in record.trials.items() for report in trial.reports[:1]}
    return {number: example for number, example in found.items() if example}


def distinct(examples: Iterable[Example]) -> list[Example]:
    """Return one example for each workload, in order: the latest ``MOST``. Twins would make leaving one out vain."""
    return list({example.features: example for example in examples}.values())[-MOST:]


def suspects(record: StudyRecord) -> tuple[Suspect, ...]:
    """Return the latencies of *record* that do not go with the others, with the first trial of each."""
    by_trial = examples_of(record)
    known = distinct(by_trial.values())
    first = {example: number for number, example in reversed(by_trial.items())}
    return tuple(
        Suspect(trial=first[one], median_ms=one.median_ms, expected_ms=expected, others=len(known) - 1)
        for one, expected in implausible(known)
    )


def implausible(examples: Sequence[Example]) -> list[tuple[Example, float]]:
    """Return those of *examples*, no two of one workload, that do not go with the others, and the expected ms of each.

    What is usual is the median of what leaving each out costs; none is strange among fewer than ``FEWEST``.
    """
    if len(examples) < FEWEST:
        return []
    off, sizes = Predictor.of(examples).left_out
    scores = np.abs(off / sizes)
    far = scores > STRANGE * NORMAL_MAD * float(np.median(scores))
    apart = np.abs(off) > math.log(APART)
    expected = [one.median_ms * math.exp(-miss) for one, miss in zip(examples, off, strict=True)]
    return [(examples[place], expected[place]) for place in np.flatnonzero(far & apart)]


class Notebook:
    """Writes what is measured where workers read it: at *path*, begun anew with what *record* knows."""

    def __init__(self, path: Path, record: StudyRecord) -> None:
        self._path = path
        path.write_text("".join(map(_line, examples_of(record).values())), encoding="utf-8")

    def add(self, report: Report) -> None:
        """Write down what *report* teaches, if anything."""
        example = example_of(report)
        if example:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(_line(example))


class Notes:
    """Reads the notebook at *path* while it grows: each line once, when it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0
        self._found: dict[tuple[float, ...], Example] = {}

    def read(self) -> bool:
        """Read on; return whether anything was new. A line of another version is left out."""
        try:
            with self._path.open("rb") as stream:
                if os.fstat(stream.fileno()).st_size < self._place:  # begun anew
                    self._place, self._found = 0, {}
                stream.seek(self._place)
                text = stream.read()
        except OSError:
            return False
        whole = text[: text.rfind(b"\n") + 1]
        self._place += len(whole)
        for line in whole.splitlines():
            with suppress(ValidationError):
                example = Example.model_validate_json(line)
                self._found[example.features] = example
        return bool(whole)

    @property
    def examples(self) -> list[Example]:
        """What is known, as ``distinct`` returns it."""
        return list(self._found.values())[-MOST:]


class Foresight:
    """Foresees latencies from the notebook at *path*, where a latency has a *bound*; without one it only describes."""

    def __init__(self, path: Path, bound: float | None) -> None:
        self._notes, self._bound = Notes(path), bound
        self._predictor: Predictor | None = None

    def describe(self, workload: Workload) -> tuple[float, ...]:
        """Return the features of *workload*."""
        from devicelab.graph import read_graph  # needs the extra [lab]; reading commands do without

        return features_of(read_graph(workload.path).operators, workload.threads)

    def forecast(self, features: tuple[float, ...]) -> Forecast | None:
        """Return what the measurements so far let expect; ``None`` while there are fewer than ``FEWEST``."""
        if self._bound is None:
            return None
        if self._notes.read() and len(self._notes.examples) >= FEWEST:
            self._predictor = Predictor.of(self._notes.examples)
        return self._predictor.predict([features])[0] if self._predictor else None


def _line(example: Example) -> str:
    return example.model_dump_json() + "\n"

"""Early stopping on vectors: who need not be trained to the end, because it cannot get into the best 1/eta any more.

Successive halving lets the best 1/eta of a rung go on by their scores there (for one objective: Li et al., "A system
for massively parallel hyperparameter tuning", MLSys 2020; for several: Schmucker et al.,
https://arxiv.org/abs/2106.12639). That is right when a rung tells the order of the ends. Where it does not, it stops
the front itself: small networks are at chance level for the first third of their epochs (docs/compute-to-front.md).
So a study learns here what its rungs are worth, and stops only what is out of reach.

A rung is a tenth of a training, from ``grace`` epochs on. At each, a trial is compared at its best with the others at
their worst:

* its best is its vector at the rung, with the largest gain that any training had from this rung to its end; before
  ``evidence`` trainings have ended, everyone goes on. The chance that one more training gains more than m before it is
  1 / (m + 1), whatever gains are like (order statistics of exchangeable values);
* the others are at their ends where they have ended, else at their vectors with the smallest gain;
* it is stopped when one of them dominates it and it is not among the best ``ceil(n / eta)`` of all n that have
  arrived, in the order of ``search.ranking``. Nobody waits for anybody.

The end of a trial is its outcome: what compression takes away is part of the gain. Three rules follow from what a stop
saves and what vectors mean:

* trials are compared, and gains are learned, within one population only: others are validated on other faces;
* a trial whose network was trained further already (by a trial with the same training, compressed otherwise) goes on
  whatever its rank: its epochs are read from the artifact store;
* trials with the same training are one piece of evidence, however many they are.

Constraints need no place here: a trial that breaks one ends as infeasible before its first epoch. Nor has the gap one:
on the few subjects of a validation split it is noise.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from search.candidate import Candidate, digest_of
from search.config import EarlyStopping
from search.objectives import ObjectiveName, Outcome
from search.ranking import Floats, best_rows
from search.record import StudyRecord

RUNGS = 10
"""Rungs in a training, evenly."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a trial is: its *vector* after *epoch* of *last* epochs, every column minimised.

    ``training`` identifies what is trained: trials that agree in it share their checkpoints. ``peers`` names those that
    it may be compared with.
    """

    number: int
    training: str
    peers: str
    epoch: int
    last: int
    vector: tuple[float, ...]

    @property
    def rung(self) -> int:
        """How many tenths of the training are behind it."""
        return RUNGS * self.epoch // self.last


@dataclass(slots=True)
class _Rung:
    """Who has arrived, with vectors in *rows* (n, m) or more; and what trainings gained from here to their ends."""

    columns: int
    row_of: dict[int, int] = field(default_factory=dict)
    rows: Floats = field(init=False)
    ended: NDArray[np.bool_] = field(init=False)
    learnt: set[str] = field(default_factory=set)
    """The trainings whose ends are known."""
    best: Floats = field(init=False)
    worst: Floats = field(init=False)
    """The smallest and the largest change (m,) from here to an end; a decrease is an improvement."""

    def __post_init__(self) -> None:
        """Begin with room for a few."""
        self.rows = np.empty((16, self.columns))
        self.ended = np.zeros(16, dtype=np.bool_)
        self.best, self.worst = np.full(self.columns, np.inf), np.full(self.columns, -np.inf)

    def arrive(self, number: int, vector: tuple[float, ...]) -> None:
        """Note that trial *number* is here with *vector*."""
        row = self.row_of[number] = len(self.row_of)
        if row == len(self.rows):
            self.rows = np.concatenate([self.rows, np.empty_like(self.rows)])
            self.ended = np.concatenate([self.ended, np.zeros_like(self.ended)])
        self.rows[row] = vector

    def end(self, number: int, training: str, vector: tuple[float, ...]) -> None:
        """Learn from trial *number*, which ended with *vector*; nothing from one that had no number here."""
        row = self.row_of[number]
        change = np.array(vector) - self.rows[row]
        if not np.isnan(change).any():
            self.learnt.add(training)
            self.best, self.worst = np.minimum(self.best, change), np.maximum(self.worst, change)
        self.rows[row], self.ended[row] = vector, True

    def out_of_reach(self, number: int, eta: int) -> bool:
        """Whether trial *number* at its best is behind the front and the best ``1 / eta`` of the others at worst."""
        count, row = len(self.row_of), self.row_of[number]
        values = np.where(self.ended[:count, None], self.rows[:count], self.rows[:count] + self.worst)
        values[row] = self.rows[row] + self.best
        return not among_best(values, row, math.ceil(count / eta), front=True)


@dataclass(slots=True)
class Halving:
    """The rungs of a study, who has reached them, and how it ended with them; see the module for the rule."""

    grace: int
    eta: int
    evidence: int
    _rungs: dict[tuple[str, int], _Rung] = field(default_factory=dict)
    _reached: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _open: dict[int, Progress] = field(default_factory=dict)

    def goes_on(self, progress: Progress) -> bool:
        """Note *progress* and tell whether its trial goes on; a rung decides once about a trial."""
        self._open[progress.number] = progress
        self._reached[progress.training] = max(self._reached[progress.training], progress.epoch)
        if progress.epoch < self.grace or progress.epoch >= progress.last:
            return True
        rung = self._rungs.setdefault((progress.peers, progress.rung), _Rung(len(progress.vector)))
        if progress.number in rung.row_of:
            return True
        rung.arrive(progress.number, progress.vector)
        if self._reached[progress.training] > progress.epoch:
            return True
        return len(rung.learnt) < self.evidence or not rung.out_of_reach(progress.number, self.eta)

    def ends(self, number: int, vector: tuple[float, ...] | None) -> None:
        """Learn that trial *number* ended with *vector*; ``None`` for one that has no end to learn from."""
        progress = self._open.pop(number, None)
        if progress is None or vector is None or np.isnan(vector).any():
            return
        for (peers, _), rung in self._rungs.items():
            if peers == progress.peers and number in rung.row_of:
                rung.end(number, progress.training, vector)


def among_best(values: Floats, row: int, best: int, *, front: bool = False) -> bool:
    """Whether *row* of *values* (n, m), every column minimised, is one of ``ranking.best_rows``.

    With *front* also if it is not, but no other row dominates it.
    """
    own = values[row]
    dominators = int(((values <= own).all(axis=1) & (values < own).any(axis=1)).sum())
    if dominators >= best:  # each of them has a lower rank
        return False
    if front and not dominators and not np.isnan(own).any():
        return True
    return bool((best_rows(values, best) == row).any())


def progress_at(
    number: int, candidate: Candidate, epoch: int, known: Mapping[str, float], objectives: Sequence[ObjectiveName]
) -> Progress:
    """Return where trial *number* is after *epoch* > 0, with all values *known* from its reports so far.

    The vector holds what the *objectives* have at a rung: validation F1 (negated), and latency in milliseconds, which
    is known before training.
    """
    columns = ["latency_ms"] if "latency" in objectives else []
    return Progress(
        number=number,
        training=digest_of(candidate.architecture, candidate.training),
        peers=candidate.training.population,
        epoch=epoch,
        last=candidate.training.epochs,
        vector=(-known.get("val_f1", math.nan), *(known.get(column, math.nan) for column in columns)),
    )


def end_of(outcome: Outcome | None, objectives: Sequence[ObjectiveName]) -> tuple[float, ...] | None:
    """Return the vector that a trial with *outcome* ended with, in the columns of ``progress_at``, if it completed."""
    if outcome is None or outcome.state != "complete":
        return None
    latency = [outcome.values.get("latency", math.nan)] if "latency" in objectives else []
    return (-outcome.values.get("f1", math.nan), *latency)


def halving_of(stopping: EarlyStopping, record: StudyRecord) -> Halving:
    """Return the rungs as they are after everything that *record* tells; what was decided is not decided again."""
    halving = Halving(stopping.grace_epochs, stopping.reduction_factor, stopping.evidence)
    objectives = record.config.objectives
    for trial in record.trials.values():
        known: dict[str, float] = {}
        for report in trial.reports:
            known |= report.values
            if report.rung > 0:
                halving.goes_on(progress_at(trial.number, trial.candidate, report.rung, known, objectives))
        if trial.outcome is not None:
            halving.ends(trial.number, end_of(trial.outcome, objectives))
    return halving

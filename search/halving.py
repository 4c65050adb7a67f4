"""Multi-objective successive halving: whether a trial goes on from a rung, decided on vectors. NumPy and moocore only.

A rung is an epoch (``grace``, ``grace * eta``, ``grace * eta ** 2``, ...) at which the vectors of all trials that came
so far are compared. A trial goes on from it when it is among the best ``ceil(n / eta)`` of the n that have arrived,
itself included, in the order of ``search.ranking``. Nobody waits for anybody: the rule is that of ASHA (Li et al., "A
system for massively parallel hyperparameter tuning", MLSys 2020), for one objective exactly so; for several see
Schmucker et al., "Multi-objective asynchronous successive halving" (https://arxiv.org/abs/2106.12639).

Two rules follow from what a stop saves:

* trials are compared within one population only: others are validated on other faces;
* a trial whose network was trained to the next rung already (by a trial with the same training, compressed otherwise)
  goes on whatever its rank: its epochs are read from the artifact store.

Constraints need no place here: a trial that breaks one ends as infeasible before its first epoch. Nor has the gap one:
on the few subjects of a validation split it is noise.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from search.candidate import Candidate, digest_of
from search.config import EarlyStopping
from search.objectives import ObjectiveName
from search.ranking import Floats, best_rows
from search.record import StudyRecord


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


@dataclass(slots=True)
class Halving:
    """The rungs of a study and who has reached them; see the module for the rule."""

    grace: int
    eta: int
    _rungs: dict[tuple[str, int], dict[int, tuple[float, ...]]] = field(default_factory=lambda: defaultdict(dict))
    _reached: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def goes_on(self, progress: Progress) -> bool:
        """Note *progress* and tell whether its trial goes on; a rung decides once about a trial."""
        self._reached[progress.training] = max(self._reached[progress.training], progress.epoch)
        rung = self._rung_of(progress)
        if rung is None or progress.number in (trials := self._rungs[progress.peers, rung]):
            return True
        trials[progress.number] = progress.vector
        if self._reached[progress.training] >= min(rung * self.eta, progress.last):
            return True
        values = np.array(list(trials.values()), dtype=np.float64)
        return among_best(values, len(values) - 1, math.ceil(len(values) / self.eta))

    def _rung_of(self, progress: Progress) -> int | None:
        """Return the epoch of the rung that *progress* stands on, or ``None`` between rungs and at the end."""
        rung = self.grace
        while rung < progress.epoch:
            rung *= self.eta
        return rung if rung == progress.epoch < progress.last else None


def among_best(values: Floats, row: int, best: int) -> bool:
    """Whether *row* of *values* (n, m), every column minimised, is one of ``ranking.best_rows``."""
    own = values[row]
    dominators = int(((values <= own).all(axis=1) & (values < own).any(axis=1)).sum())
    if dominators >= best:  # each of them has a lower rank
        return False
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


def halving_of(stopping: EarlyStopping, record: StudyRecord) -> Halving:
    """Return the rungs as they are after everything that *record* tells; what was decided is not decided again."""
    halving = Halving(stopping.grace_epochs, stopping.reduction_factor)
    for trial in record.trials.values():
        known: dict[str, float] = {}
        for report in trial.reports:
            known |= report.values
            if report.rung > 0:
                halving.goes_on(
                    progress_at(trial.number, trial.candidate, report.rung, known, record.config.objectives)
                )
    return halving

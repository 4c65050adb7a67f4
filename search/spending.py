"""What a study has spent and gained, held against its budget: which part of the budget ends it, and when."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from search.budget import Spent, Stall
from search.config import StudyConfig
from search.front import hypervolume
from search.objectives import DIRECTIONS
from search.record import Event, TrialReported, TrialTold


class Spending(NamedTuple):
    """The part of the budget that is spent: its ``key`` in ``[budget]``, and a sentence about it."""

    key: str
    sentence: str


class Account:
    """Follows the events of the study *config*; ``spent`` tells what ends it. A run begins when it is made (*clock*).

    The number of trials is not counted here: whoever hands them out does.
    """

    def __init__(self, config: StudyConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._begun = clock()
        self._used = Spent()
        self._values: list[list[float]] = []  # a row per ended trial; NaN where it is not complete
        self._stalled: tuple[int, str] = (0, "")  # what was found for so many ended trials

    def hear(self, event: Event) -> None:
        """Take *event* into account."""
        if not isinstance(event, TrialReported | TrialTold):
            return
        self._used += event.spent
        if isinstance(event, TrialTold):
            values = event.outcome.values if event.outcome.state == "complete" else {}
            self._values.append([values.get(name, np.nan) for name in self._config.objectives])

    def spent(self) -> Spending | None:
        """Return which part of the budget is spent, if any."""
        budget = self._config.budget
        if budget.wall_minutes is not None and self._clock() - self._begun >= 60 * budget.wall_minutes:
            return Spending("wall_minutes", "time is up")
        for key, name, hours, seconds in (
            ("cpu_hours", "CPU-hours", budget.cpu_hours, self._used.cpu_seconds),
            ("gpu_hours", "GPU-hours", budget.gpu_hours, self._used.gpu_seconds),
        ):
            if hours is not None and seconds >= 3600 * hours:
                return Spending(key, f"{name} are spent: {seconds / 3600:.3g} of {hours:g}")
        if budget.stall is not None and (stalled := self._stands_still(budget.stall)):
            return Spending("stall", stalled)
        return None

    def _stands_still(self, stall: Stall) -> str:
        """Return how little was gained by the last trials, ``""`` if that is enough."""
        ended = len(self._values)
        if self._stalled[0] != ended:
            before, now = self._volume(ended - stall.trials), self._volume(ended)
            found = ""
            if before > 0 and now <= before * (1 + stall.percent / 100):
                gain = 100 * (now / before - 1)
                found = (
                    f"the front stands still: hypervolume {now:.4f}, {gain:.2g} % more than {stall.trials} trials ago"
                )
            self._stalled = ended, found
        return self._stalled[1]

    def _volume(self, ended: int) -> float:
        """Return the hypervolume of the first *ended* trials, as a share."""
        if ended <= 0:
            return 0.0
        names = self._config.objectives
        corner = self._config.reference_point
        values = np.asarray(self._values[:ended], dtype=np.float64)
        return hypervolume(values, [DIRECTIONS[name] for name in names], [corner[name] for name in names]).share

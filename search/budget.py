"""How much a study may spend and has spent, and how long a stage may take: what a resumption may change."""

import math
from typing import Annotated, Literal

from pydantic import Field

from fer_core.specs import Spec

type Stage = Literal["draft", "measure", "train", "export", "score"]
"""The stages of a trial, by the names under which their seconds are added up (``search.pipeline``)."""

type Minutes = Annotated[float, Field(gt=0)]


type Hours = Annotated[float, Field(gt=0)]


class Spent(Spec):
    """What was spent on a trial, or on many: the CPU time of the workers' processes, and GPU time (see ``Budget``)."""

    cpu_seconds: Annotated[float, Field(ge=0)] = 0.0
    gpu_seconds: Annotated[float, Field(ge=0)] = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        """Return both together."""
        return Spent(cpu_seconds=self.cpu_seconds + other.cpu_seconds, gpu_seconds=self.gpu_seconds + other.gpu_seconds)


class Stall(Spec):
    """When the front counts as standing still: ``trials`` ended and hypervolume grew by at most ``percent`` of itself.

    It counts from the first trial that spans a volume.
    """

    trials: Annotated[int, Field(ge=1)]
    percent: Annotated[float, Field(ge=0)] = 1.0

    @property
    def sentence(self) -> str:
        """The rule in words."""
        return f"until {self.trials} trials bring no more than {self.percent:g} % of hypervolume"


class Budget(Spec):
    """How much a study may spend; the only part, with ``Limits``, that a resumption may change.

    No trial starts when one of these is spent; those that run come to their end. ``trials`` counts every trial that was
    handed out, in all runs together; so do ``cpu_hours``, the CPU time of the workers' own processes, which train
    (converter and interpreters have processes of their own), and ``gpu_hours``, the time for which a trial had a turn
    after its latency was known, times the share of a GPU that goes with a turn. ``wall_minutes`` bounds one run.

    ``concurrency`` trials compute at a time. ``ahead`` more are open, each a process with its memory, and compute when
    others wait, for a phone or for what another trial trains. Left out, it is a quarter of ``concurrency``, rounded up,
    and 0 with simulated phones, which keep nobody waiting.
    """

    trials: Annotated[int, Field(ge=1)] = 20
    concurrency: Annotated[int, Field(ge=1)] = 2
    ahead: Annotated[int, Field(ge=0)] | None = None
    wall_minutes: Minutes | None = None
    cpu_hours: Hours | None = None
    gpu_hours: Hours | None = None
    stall: Stall | None = None

    def in_flight(self, *, simulated: bool) -> int:
        """Return how many trials are open at a time, where phones are *simulated* or not."""
        usual = 0 if simulated else math.ceil(self.concurrency / 4)
        return self.concurrency + (usual if self.ahead is None else self.ahead)

    def sentences(self, spent: Spent | None = None) -> tuple[str, ...]:
        """Return every bound in words, beside what was *spent* if that is given."""
        found = [f"{self.trials} trials"]
        if self.wall_minutes is not None:
            found.append(f"{self.wall_minutes:g} minutes a run")
        used = spent or Spent()
        for name, hours, seconds in (
            ("CPU-hours", self.cpu_hours, used.cpu_seconds),
            ("GPU-hours", self.gpu_hours, used.gpu_seconds),
        ):
            if hours is not None:
                found.append(f"{hours:g} {name}{f' ({seconds / 3600:.3g} spent)' if spent else ''}")
        return (*found, *([self.stall.sentence] if self.stall else []))


class Limits(Spec):
    """How many minutes a stage of one trial may take before it counts as hung; ``train`` is for one epoch.

    Generous: they are there for what would never end. Waiting for a turn, or for another trial that computes the same,
    does not count; waiting for a phone does (``measure``), hence a day.
    """

    draft: Minutes = 30
    measure: Minutes = 1440
    train: Minutes = 120
    export: Minutes = 120
    score: Minutes = 60

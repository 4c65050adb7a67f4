"""A cluster in simulated time under the real study, searcher and scheduler.

For benchmarks of the engine.

What Tune does is done here in its order: it asks the searcher for trials, asks the scheduler about each report, and
tells the searcher how a trial ended. A trial is a sequence of stages, each some seconds on a worker or on a phone. A
stage with a key is computed once: whoever needs it meanwhile waits, and finds it there later.
"""

import heapq
import itertools
import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, Literal

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from search.candidate import Candidate
from search.config import StudyConfig
from search.halving import halving_of
from search.ledger import Ledger
from search.objectives import Outcome
from search.record import Report, StudyOpened
from search.study import Study
from search.tuning.scheduler import HalvingScheduler
from search.tuning.searcher import StudySearcher

type Place = Literal["worker", "phone"]


@dataclass(frozen=True, slots=True)
class Stage:
    """*seconds* at a *place*, and what the trial tells then; *key* names a result that trials share."""

    place: Place
    seconds: float
    told: Report | Outcome | None = None
    key: str | None = None


type Program = Callable[[int, Candidate], Iterator[Stage]]
"""The stages of trial *number*, which evaluates a candidate."""
type Ended = Callable[[float, Candidate, Outcome], bool]
"""Is called when a trial ends, with the worker seconds spent so far; returns whether the simulation goes on."""


@dataclass(slots=True)
class _Trial:
    """A trial that runs: Tune's view of it, what is left of it, and the stage that it is at."""

    view: SimpleNamespace
    candidate: Candidate
    stages: Iterator[Stage]
    at: Stage | None = None


@dataclass(slots=True)
class Cluster:
    """*workers* and *phones* for trials, at most *in_flight* at a time.

    A trial that *holds* keeps one worker from its first stage to its end; else it has one only while it computes.
    """

    workers: int
    phones: int
    in_flight: int
    holds: bool = False
    now: float = 0.0
    busy: dict[Place, float] = field(default_factory=lambda: {"worker": 0.0, "phone": 0.0})
    """Seconds of work at each kind of place so far."""
    at_work: Counter[Place] = field(default_factory=Counter)
    """How many stages run now."""
    all_asked: float = math.nan
    """When the last trial was handed out; behind it workers run dry whatever the rule."""
    busy_then: float = math.nan
    _free: Counter[Place] = field(default_factory=Counter)
    _queues: defaultdict[Place, deque[_Trial]] = field(default_factory=lambda: defaultdict(deque))
    _ends: list[tuple[float, int, _Trial]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)
    _done: set[str] = field(default_factory=set)
    _waiting: dict[str, list[_Trial]] = field(default_factory=dict)

    def run(self, config: StudyConfig, program: Program, ended: Ended = lambda *_: True) -> None:
        """Search as *config* says, with *program* in the place of real work, until the budget is spent."""
        opened = StudyOpened(name=config.name, config=config.model_dump(mode="json"), config_digest=config.digest)
        with TemporaryDirectory(dir=_memory()) as folder, Ledger.create(Path(folder) / "ledger.db", opened) as ledger:
            study = Study(config, ledger)
            searcher = StudySearcher(study, self.in_flight)
            stopping = config.early_stopping
            scheduler = (
                HalvingScheduler(halving_of(stopping, study.record()), config.objectives)
                if stopping
                else FIFOScheduler()
            )
            self._free.update({"worker": self.workers, "phone": self.phones})
            self._fill(searcher, program)
            while self._ends:
                moment, _, trial = heapq.heappop(self._ends)
                for place in self.busy:
                    self.busy[place] += self.at_work[place] * (moment - self.now)
                self.now = moment
                last = self._leave(trial)
                outcome = _told(last, trial.view, searcher, scheduler)
                if outcome is None:
                    self._advance(trial)
                else:
                    if self.holds:
                        self._free["worker"] += 1
                    if not ended(self.busy["worker"], trial.candidate, outcome):
                        return
                self._fill(searcher, program)

    def _fill(self, searcher: StudySearcher, program: Program) -> None:
        """Start what may start: new trials, and whoever waits for a place that is free."""
        while not self.holds or self._free["worker"] > 0:
            name = f"trial-{next(self._order)}"
            config = searcher.suggest(name)
            if not isinstance(config, dict):
                break
            self.all_asked, self.busy_then = self.now, self.busy["worker"]
            candidate = Candidate.model_validate_json(config["candidate"])
            stages = program(int(config["number"]), candidate)
            if self.holds:
                self._free["worker"] -= 1
            self._advance(_Trial(SimpleNamespace(config=config, trial_id=name), candidate, stages))
        for place, queue in self._queues.items():
            while queue and self._has_room(place):
                self._begin(queue.popleft(), place)

    def _has_room(self, place: Place) -> bool:
        return (self.holds and place == "worker") or self._free[place] > 0

    def _advance(self, trial: _Trial) -> None:
        """Take *trial* to its next stage: into the queue, or to whoever computes the same, or past what is there."""
        stage = trial.at = next(trial.stages)
        if stage.key in self._done:
            self._end_at(self.now, trial)
        elif stage.key is not None and stage.key in self._waiting:
            self._waiting[stage.key].append(trial)
        else:
            if stage.key is not None:
                self._waiting[stage.key] = []
            self._queues[stage.place].append(trial)

    def _begin(self, trial: _Trial, place: Place) -> None:
        seconds = trial.at.seconds if trial.at else 0.0
        if not (self.holds and place == "worker"):
            self._free[place] -= 1
        self.at_work[place] += 1
        self._end_at(self.now + seconds, trial)

    def _end_at(self, moment: float, trial: _Trial) -> None:
        heapq.heappush(self._ends, (moment, next(self._order), trial))

    def _leave(self, trial: _Trial) -> Stage:
        """Return the stage that *trial* is at the end of; who waited for its result has it now."""
        stage = trial.at
        if stage is None:
            raise RuntimeError("a trial ends a stage that it never began")
        if stage.key is None or stage.key in self._waiting:
            self.at_work[stage.place] -= 1
            if not (self.holds and stage.place == "worker"):
                self._free[stage.place] += 1
            if stage.key is not None:
                self._done.add(stage.key)
                for other in self._waiting.pop(stage.key):
                    self._end_at(self.now, other)
        return stage


def _told(stage: Stage, view: SimpleNamespace, searcher: StudySearcher, scheduler: TrialScheduler) -> Outcome | None:
    """Do with what *stage* tells as Tune does with a result; return the outcome of a trial that ended."""
    name: str = view.trial_id
    if isinstance(stage.told, Report):
        result: dict[str, Any] = {"report": stage.told.model_dump_json()}
        if _stops(scheduler, view, result):
            scheduler.on_trial_complete(None, view, result)
            searcher.on_trial_complete(name, result)
            return Outcome(state="stopped", reason="early stopping")
        searcher.on_trial_result(name, result)
        return None
    if isinstance(stage.told, Outcome):
        result = {"outcome": stage.told.model_dump_json()}
        if isinstance(scheduler, HalvingScheduler):
            scheduler.on_trial_complete(None, view, result)
        searcher.on_trial_complete(name, result)
        return stage.told
    return None


def _stops(scheduler: TrialScheduler, view: SimpleNamespace, result: dict[str, Any]) -> bool:
    if not isinstance(scheduler, HalvingScheduler):
        return False
    return scheduler.on_trial_result(None, view, result) == str(TrialScheduler.STOP)


def _memory() -> str | None:
    """Return a folder in memory, where there is one: the ledger of a simulation need not outlive it."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108

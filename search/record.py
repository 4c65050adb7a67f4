"""What happened in a study, as events, and what they add up to. Pure values: no SQL, no Ray, no Optuna.

Events are facts in the order in which the driver learnt them; ``fold`` turns them into the
``StudyRecord`` that every query, table and plot is made from.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from fer_core.specs import Spec
from search.budget import Spent
from search.candidate import Candidate
from search.config import StudyConfig
from search.errors import LedgerError
from search.objectives import Outcome, TrialState


class _Event(Spec):
    at: AwareDatetime | None = None  # when it was recorded; a ledger's clock says so


class Inherited(Spec):
    """What a study was opened with: how many trials of which other study, and the digest of their copy."""

    study: str
    trials: int
    digest: str


class StudyOpened(_Event):
    """The first event of every ledger. ``config`` is a ``StudyConfig`` in JSON, ``config_digest`` its meaning's."""

    kind: Literal["study-opened"] = "study-opened"
    name: str
    config: dict[str, Any]
    config_digest: str
    code_digest: str = ""
    version: str = ""
    inherited: Inherited | None = None


class RunStarted(_Event):
    """A driver took the study up. ``budget`` is the one of this run, where it differs from the study's."""

    kind: Literal["run-started"] = "run-started"
    pid: int
    host: str
    budget: dict[str, Any] | None = None


class RunEnded(_Event):
    """The driver put the study down and said why: ``"finished"``, ``"interrupted"``, an error's message ...

    ``spent`` is the key of ``[budget]`` that ended the run, where one did.
    """

    kind: Literal["run-ended"] = "run-ended"
    reason: str
    spent: str = ""


class TrialAsked(_Event):
    """A candidate was handed out. ``params`` are the sampler's answers, from which the candidate can be rebuilt."""

    kind: Literal["trial-asked"] = "trial-asked"
    number: Annotated[int, Field(ge=0)]
    candidate: Candidate
    params: dict[str, Any]


class TrialReported(_Event):
    """What an open trial reached at a rung (epoch): named numbers. Told again for a rung, the later one counts.

    ``features`` describe the graph whose latency rung 0 tells (``search.prediction.COLUMNS``). ``spent`` is what it
    took to come here from the report before.
    """

    kind: Literal["trial-reported"] = "trial-reported"
    number: Annotated[int, Field(ge=0)]
    rung: Annotated[int, Field(ge=0)]
    values: dict[str, float]
    features: tuple[float, ...] = ()
    spent: Spent = Spent()


class TrialTold(_Event):
    """How a trial ended. Once for every trial that was handed out, never for another. ``spent``: since its report."""

    kind: Literal["trial-told"] = "trial-told"
    number: Annotated[int, Field(ge=0)]
    outcome: Outcome
    spent: Spent = Spent()


Event = Annotated[
    StudyOpened | RunStarted | RunEnded | TrialAsked | TrialReported | TrialTold, Field(discriminator="kind")
]
"""One row of a ledger."""

EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class Report(Spec):
    """The values of one trial at one rung; at rung 0 also the ``features`` of the graph that was measured."""

    rung: int
    values: dict[str, float]
    features: tuple[float, ...] = ()
    at: AwareDatetime | None = None


class TrialRecord(Spec):
    """One trial. ``outcome`` is ``None`` while it runs; ``reports`` stand in the order of their rungs."""

    number: int
    candidate: Candidate
    params: dict[str, Any]
    reports: tuple[Report, ...] = ()
    outcome: Outcome | None = None
    asked_at: AwareDatetime | None
    told_at: AwareDatetime | None = None

    @property
    def state(self) -> Literal["running"] | TrialState:
        """``"running"`` for a trial that was handed out and not told yet, else the state of its outcome."""
        return "running" if self.outcome is None else self.outcome.state


class RunRecord(Spec):
    """One run of the driver. ``ended_at`` is ``None`` while it goes on, and for ever when it was killed.

    ``spent`` is the key of ``[budget]`` that ended it, where one did.
    """

    pid: int
    host: str
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None = None
    reason: str = ""
    spent: str = ""


class StudyRecord(Spec):
    """Everything that is known about a study. ``config`` carries the budget of the last run.

    Trials stand in the order of their numbers, ``told`` in the order in which they ended. ``spent`` is what all of them
    took, also where a trial was walked twice.
    """

    config: StudyConfig
    opened: StudyOpened
    trials: dict[int, TrialRecord] = Field(default_factory=dict)
    told: tuple[int, ...] = ()
    runs: tuple[RunRecord, ...] = ()
    spent: Spent = Spent()

    @property
    def complete(self) -> tuple[TrialRecord, ...]:
        """The trials that reached the end with a value for every objective, by number."""
        return tuple(trial for trial in self.trials.values() if trial.state == "complete")

    @property
    def running(self) -> tuple[TrialRecord, ...]:
        """The trials that were handed out and not told yet, by number."""
        return tuple(trial for trial in self.trials.values() if trial.outcome is None)


def fold(events: Iterable[Event]) -> StudyRecord:
    """Return what *events*, in their order, add up to; time is linear in their number.

    Raises:
        LedgerError: the events do not begin with ``StudyOpened``, or one of them concerns a trial
            that was not handed out or was told before (a ledger refuses to record such events).
    """
    record = None
    for event in events:
        record = _Folding(event) if record is None else record.add(event)
    if record is None:
        raise LedgerError("the ledger holds no event; the study was never opened; delete its folder and start it again")
    return record.result()


class _Folding:
    """The mutable inside of ``fold``: records are only built once, at the end."""

    def __init__(self, first: Event) -> None:
        if not isinstance(first, StudyOpened):
            raise LedgerError(f"the ledger begins with {first.kind} instead of study-opened")
        self._opened = first
        self._budget: dict[str, Any] | None = None
        self._asked: dict[int, TrialAsked] = {}
        self._reports: dict[int, dict[int, Report]] = {}
        self._told: dict[int, TrialTold] = {}
        self._runs: list[RunRecord] = []
        self._cpu, self._gpu = 0.0, 0.0

    def add(self, event: Event) -> "_Folding":
        match event:
            case StudyOpened():
                raise LedgerError("the ledger opens its study twice")
            case RunStarted():
                self._runs.append(RunRecord(pid=event.pid, host=event.host, started_at=event.at))
                self._budget = event.budget or self._budget
            case RunEnded():
                if self._runs:
                    ended = {"ended_at": event.at, "reason": event.reason, "spent": event.spent}
                    self._runs[-1] = self._runs[-1].model_copy(update=ended)
            case TrialAsked():
                if event.number in self._asked:
                    raise LedgerError(f"trial {event.number} is handed out twice")
                self._asked[event.number] = event
            case TrialReported():
                self._open(event.number)
                report = Report(rung=event.rung, values=event.values, features=event.features, at=event.at)
                self._reports.setdefault(event.number, {})[event.rung] = report
                self._pay(event.spent)
            case TrialTold():
                self._open(event.number)
                self._told[event.number] = event
                self._pay(event.spent)
        return self

    def result(self) -> StudyRecord:
        plain = self._opened.config if self._budget is None else {**self._opened.config, "budget": self._budget}
        try:
            config = StudyConfig.model_validate(plain)
        except ValidationError as error:
            mistake = error.errors(include_url=False)[0]
            place = ".".join(map(str, mistake["loc"]))
            raise LedgerError(f"the recorded study cannot be read: {place}: {mistake['msg']}") from None
        return StudyRecord.model_construct(
            config=config,
            opened=self._opened,
            trials={number: self._trial(asked) for number, asked in sorted(self._asked.items())},
            told=tuple(self._told),
            runs=tuple(self._runs),
            spent=Spent(cpu_seconds=self._cpu, gpu_seconds=self._gpu),
        )

    def _pay(self, spent: Spent) -> None:
        self._cpu += spent.cpu_seconds
        self._gpu += spent.gpu_seconds

    def _open(self, number: int) -> None:
        if number not in self._asked:
            raise LedgerError(f"trial {number} was never handed out")
        if number in self._told:
            raise LedgerError(f"trial {number} was told before")

    def _trial(self, asked: TrialAsked) -> TrialRecord:
        told = self._told.get(asked.number)
        reports = self._reports.get(asked.number, {})
        return TrialRecord.model_construct(
            number=asked.number,
            candidate=asked.candidate,
            params=asked.params,
            reports=tuple(reports[rung] for rung in sorted(reports)),
            outcome=told.outcome if told else None,
            asked_at=asked.at,
            told_at=told.at if told else None,
        )

"""What a running study looks like: a live table on a terminal, lines for trials that start and end elsewhere.

``render``, ``lines`` and ``headline`` are pure functions of the record, of the stages that its trials are in and of the
time; ``Progress`` only shows what they return.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType, TracebackType
from typing import Self

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from search.ledger import utc_now
from search.objectives import Outcome
from search.record import StudyRecord, TrialRecord
from search.tables import compression, network

NOWHERE: Mapping[int, str] = MappingProxyType({})
"""The stages of trials that nobody knows."""
STATES = ("running", "complete", "stopped", "infeasible", "failed")


def counts(record: StudyRecord) -> dict[str, int]:
    """Return how many trials are in each state, all states present."""
    found: Counter[str] = Counter(trial.state for trial in record.trials.values())
    return {state: found[state] for state in STATES}


def remaining_seconds(record: StudyRecord, now: datetime) -> float | None:
    """Return how long the rest of the budget takes at the pace of the present run; ``None`` before its first ending.

    By trials, or by compute where less is left of that, and at most until ``wall_minutes`` are over; nobody knows when
    a front will stand still.
    """
    if not record.runs or record.runs[-1].started_at is None:
        return None
    start, budget = record.runs[-1].started_at, record.config.budget
    ended = [told for told in (trial.told_at for trial in record.trials.values()) if told and told >= start]
    if not ended:
        return None
    left = float(max(0, budget.trials - len(record.told)))
    for hours, used in ((budget.cpu_hours, record.spent.cpu_seconds), (budget.gpu_hours, record.spent.gpu_seconds)):
        if hours is not None and used:
            left = min(left, max(0.0, 3600 * hours - used) / (used / len(record.told)))
    seconds = (max(ended) - start).total_seconds() / len(ended) * left - (now - max(ended)).total_seconds()
    limit = math.inf if budget.wall_minutes is None else 60 * budget.wall_minutes - (now - start).total_seconds()
    return min(seconds, limit)


def phone_queue(stages: Mapping[int, str]) -> int:
    """Return how many trials wait for what a phone answers: for their turn, or while they are measured."""
    return sum(stage == "measure" for stage in stages.values())


def headline(
    record: StudyRecord, now: datetime, hypervolume: float | None = None, stages: Mapping[int, str] = NOWHERE
) -> str:
    """Return in one line what was reached, what is going on, and how long it will take."""
    at_work = Counter(stages.values())
    left = remaining_seconds(record, now)
    parts = [
        f"{len(record.told)}/{record.config.budget.trials} trials",
        *([] if hypervolume is None else [f"hypervolume {hypervolume:.3f}"]),
        *([f"at work: {', '.join(f'{count} {stage}' for stage, count in sorted(at_work.items()))}"] if stages else []),
        *([f"phone queue {phone_queue(stages)}"] if stages else []),
        *([] if left is None else [f"about {_time(timedelta(seconds=max(0.0, left)))} left"]),
    ]
    return "; ".join(parts)


def render(
    record: StudyRecord, now: datetime, hypervolume: float | None = None, stages: Mapping[int, str] = NOWHERE
) -> RenderableType:
    """Return the live view of *record* at *now*, whose open trials are in *stages*, by number.

    *hypervolume* is the share that ``search.front`` computes.
    """
    return Group(_summary(record, now, hypervolume, stages), _open_trials(record, now, stages))


def lines(before: StudyRecord | None, after: StudyRecord) -> Iterator[str]:
    """Yield a line for each trial that started or ended between two records of one study."""
    known = before.trials if before else {}
    ended = len(before.told) if before else 0
    for number, trial in after.trials.items():
        if number not in known:
            yield f"trial {number} started: {describe(trial)}"
    for number in after.told[ended:]:
        outcome = after.trials[number].outcome
        if outcome:
            yield f"trial {number} {outcome.state}: {result(outcome)} ({len(after.told)}/{after.config.budget.trials})"


def describe(trial: TrialRecord) -> str:
    """Return a trial's candidate in a few words."""
    architecture = trial.candidate.architecture
    seen = trial.candidate.training.population
    return f"{network(architecture.name, architecture.input_size)}, {seen}, {compression(trial.candidate.compression)}"


def result(outcome: Outcome) -> str:
    """Return how a trial ended: its values in their units, or the reason."""
    units = {"f1": ("F1", 100.0, ""), "gap": ("shrunk gap", 100.0, ""), "latency": ("latency", 1.0, " ms")}
    told = [f"{units[k][0]} {v * units[k][1]:.1f}{units[k][2]}" for k, v in outcome.values.items()]
    return outcome.reason or ", ".join(told)


class Progress:
    """Shows a study while it runs. Call ``show`` with each new record; use as a context manager.

    ``measure`` computes the hypervolume share of a record; *clock* tells the time, *stages* where trials are.
    """

    def __init__(
        self,
        measure: Callable[[StudyRecord], float | None],
        console: Console | None = None,
        clock: Callable[[], datetime] = utc_now,
        stages: Callable[[], Mapping[int, str]] = dict,
    ) -> None:
        self._measure = measure
        self._stages = stages
        self._clock = clock
        self._console = console or Console(stderr=True)
        self._record: StudyRecord | None = None
        self._hypervolume: float | None = None
        self._live = (
            Live(console=self._console, get_renderable=self._picture, refresh_per_second=2)
            if self._console.is_terminal
            else None
        )

    def show(self, record: StudyRecord) -> None:
        """Show *record*, which is at least as new as the one before."""
        ended = len(self._record.told) if self._record else -1
        before, self._record = self._record, record
        if len(record.told) != ended:
            self._hypervolume = self._measure(record)
        if self._live is None:
            for line in lines(before, record):
                click.echo(line, err=True)
            if before is not None and len(record.told) != ended:
                click.echo(headline(record, self._clock(), self._hypervolume, self._stages()), err=True)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def _picture(self) -> RenderableType:
        if self._record is None:
            return Text("starting: loading faces and bringing the workers up ...", style="dim")
        return render(self._record, self._clock(), self._hypervolume, self._stages())


def _summary(record: StudyRecord, now: datetime, hypervolume: float | None, stages: Mapping[int, str]) -> Table:
    grid = Table.grid(padding=(0, 2))
    found = counts(record)
    bar = f"{len(record.told)}/{record.config.budget.trials} trials"
    states = "  ".join(f"{count} {state}" for state, count in found.items() if count)
    grid.add_row(Text(record.opened.name, style="bold"), bar, states)
    best = max((trial.outcome.values.get("f1", 0.0) for trial in record.complete if trial.outcome), default=None)
    start = record.runs[-1].started_at if record.runs else None
    left = remaining_seconds(record, now)
    grid.add_row(
        "",
        "best F1 -" if best is None else f"best F1 {100 * best:.1f}",
        "  ".join(
            [
                *([] if hypervolume is None else [f"hypervolume {hypervolume:.3f}"]),
                *([] if start is None else [f"elapsed {_time(now - start)}"]),
                *([] if left is None else [f"about {_time(timedelta(seconds=max(0.0, left)))} left"]),
            ]
        ),
    )
    if stages:
        at_work = "  ".join(f"{count} {stage}" for stage, count in sorted(Counter(stages.values()).items()))
        grid.add_row("", "at work", f"{at_work}  phone queue {phone_queue(stages)}")
    return grid


def _open_trials(record: StudyRecord, now: datetime, stages: Mapping[int, str]) -> Table:
    table = Table(header_style="dim", expand=False)
    for name in ("trial", "candidate", "at", "values", "time"):
        table.add_column(name, no_wrap=name != "candidate")
    for trial in record.running:
        epochs = trial.candidate.training.epochs
        last = trial.reports[-1] if trial.reports else None
        values = "  ".join(f"{name} {value:.3g}" for name, value in last.values.items()) if last else ""
        place = f"epoch {last.rung}/{epochs}" if last and last.rung else "measured" if last else "latency first"
        stage = stages.get(trial.number)
        table.add_row(
            str(trial.number),
            describe(trial),
            f"{stage}, {place}" if stage else place,
            values,
            "" if trial.asked_at is None else _time(now - trial.asked_at),
        )
    return table


def _time(duration: timedelta) -> str:
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"

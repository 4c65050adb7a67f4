"""What is told about a study and about each of its trials: pages of settings, tags and numbers by step. Pure.

A number has its unit in its name or is a fraction. Its step is the epoch of a trial (0: the untrained graph, whose
latency is measured first) or, on the study's page, how many trials are complete.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from search.candidate import Candidate
from search.front import hypervolume_history
from search.objectives import DIRECTIONS
from search.progress import counts, describe
from search.record import StudyRecord, TrialRecord
from search.rows import row_of
from search.status import state_of

STUDY = "study"
"""The key of the study's own page."""
FINAL = (
    *("f1", "f1_low", "f1_high", "report_f1", "report_f1_low", "report_f1_high", "accuracy", "balanced_accuracy"),
    *("gap", "gap_low", "gap_high", "gap_p", "gap_shrunk", "worst_group_f1"),
    *("latency_ms", "latency_low_ms", "latency_high_ms", "size_bytes"),
)
"""What is told of a trial at its end, as ``final/NAME``: columns of ``search.rows.FrontRow``; intervals hold 95 %."""

type Plain = str | int | float | bool
type State = Literal[
    "running", "finished", "out of budget", "interrupted", "complete", "stopped", "infeasible", "failed"
]


@dataclass(frozen=True, slots=True)
class Point:
    """One number: *value* at *step*, known since *at* (seconds since 1970)."""

    name: str
    value: float
    step: int
    at: float


@dataclass(frozen=True, slots=True)
class Page:
    """All that is told about a trial, or about the study (``key`` is ``STUDY``).

    ``settings`` never change, ``tags`` may. ``begun`` and ``ended`` are seconds since 1970. ``final``: nothing on this
    page will ever change. ``model`` is the .tflite, where there is one.
    """

    key: str
    title: str
    state: State
    settings: dict[str, Plain]
    tags: dict[str, str]
    points: tuple[Point, ...]
    begun: float
    ended: float | None
    final: bool = False
    model: Path | None = None


def key_of(number: int) -> str:
    """Return the key of trial *number*'s page."""
    return f"trial-{number}"


def study_page(record: StudyRecord, *, running: bool) -> Page:
    """Return the page of the study itself; *running* where a driver holds it."""
    opened, state = record.opened, state_of(record, being_written=running)
    ends = [record.trials[number] for number in record.told if record.trials[number].state == "complete"]
    volumes = (
        Point("hypervolume", share, count, _seconds(trial.told_at))
        for trial, (count, share) in zip(ends, hypervolume_history(record), strict=True)
    )
    last = record.runs[-1] if record.runs else None
    tags = {
        "state": state,
        "reason": "" if running or last is None else last.reason,
        **{f"trials.{name}": str(count) for name, count in counts(record).items()},
        **{f"budget.{key}": str(value) for key, value in flat(record.config.budget.model_dump(mode="json"))},
    }
    settings = {key: value for key, value in opened.config.items() if key not in {"budget", "limits"}}
    return Page(
        key=STUDY,
        title=opened.name,
        state=state,
        settings=dict(flat(settings)),
        tags={**_provenance(record), **tags},
        points=tuple(volumes),
        begun=_seconds(opened.at),
        ended=None if running or last is None else _seconds(last.ended_at or opened.at),
    )


def trial_page(record: StudyRecord, trial: TrialRecord, model: Path | None = None) -> Page:
    """Return the page of *trial*, a trial of *record*; *model* is its file, where it is to be handed on."""
    outcome = trial.outcome
    ended = outcome is not None
    tags = {"state": trial.state, "candidate": describe(trial), "candidate_digest": trial.candidate.digest}
    points = [
        Point(name, value, report.rung, _seconds(report.at))
        for report in trial.reports
        for name, value in report.values.items()
    ]
    if outcome is not None:
        row = row_of(trial, on_front=False, probability=0.0)
        told = {"reason": outcome.reason, "blames": outcome.blames, "measured_on": row.measured_on}
        told |= {"artifact_digest": row.artifact_digest, "worst_group": row.worst_group}
        told |= {f"digest.{name}": digest for name, digest in outcome.provenance.items()}
        tags |= {name: value for name, value in told.items() if value}
        tags |= {} if row.synthetic_faces is None else {"synthetic_faces": _truth(value=row.synthetic_faces)}
        tags |= {} if row.source is None else {"simulated": _truth(value=row.source == "simulated")}
        points += _final_points(trial)
    return Page(
        key=key_of(trial.number),
        title=f"{record.opened.name}:{trial.number}",
        state=trial.state,
        settings=settings_of(trial.candidate),
        tags={**_provenance(record), **tags},
        points=tuple(points),
        begun=_seconds(trial.asked_at),
        ended=_seconds(trial.told_at) if ended else None,
        final=ended,
        model=model,
    )


def settings_of(candidate: Candidate) -> dict[str, Plain]:
    """Return *candidate* under the names of ``[space]`` in study.toml, with ``training.`` before the recipe's."""
    recipe = candidate.training.model_dump(mode="json", exclude={"population"})
    found = {
        "architecture": candidate.architecture.name,
        **candidate.architecture.model_dump(mode="json", exclude={"name"}),
        "population": candidate.training.population,
        **candidate.compression.model_dump(mode="json"),
        **candidate.deployment.model_dump(mode="json"),
        **{f"training.{key}": value for key, value in recipe.items()},
    }
    return dict(flat(found))


def flat(tables: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Plain]]:
    """Yield ``("space.training.epochs", 8)`` and the like; lists as JSON, nothing as ``"none"``."""
    for key, value in tables.items():
        match value:
            case dict():
                yield from flat(value, f"{prefix}{key}.")
            case list() | tuple():
                yield f"{prefix}{key}", json.dumps(value)
            case None:
                yield f"{prefix}{key}", "none"
            case _:
                yield f"{prefix}{key}", value


def _final_points(trial: TrialRecord) -> Iterable[Point]:
    outcome = trial.outcome
    if outcome is None:
        return
    row, at = row_of(trial, on_front=False, probability=0.0), _seconds(trial.told_at)
    step = trial.reports[-1].rung if trial.reports else 0
    parts: dict[str, dict[str, float | None]] = {
        "final": {name: getattr(row, name) for name in FINAL},
        "objective": {name: outcome.values.get(name) for name in DIRECTIONS},
        "violation": {**outcome.violations},
        "seconds": {**outcome.stage_seconds},
    }
    for part, numbers in parts.items():
        for name, value in numbers.items():
            if value is not None:
                yield Point(f"{part}/{name}", float(value), step, at)


def _provenance(record: StudyRecord) -> dict[str, str]:
    """Return what every page is tagged with. Before anything is measured, ``simulated`` is what the study asks for."""
    opened = record.opened
    return {
        "study": opened.name,
        "study_digest": opened.config_digest,
        "code_digest": opened.code_digest,
        "version": opened.version,
        "seed": str(record.config.seed),
        "simulated": _truth(value=record.config.lab.simulated_devices > 0),
    }


def _truth(*, value: bool) -> str:
    return "true" if value else "false"


def _seconds(moment: datetime | None) -> float:
    return 0.0 if moment is None else moment.timestamp()

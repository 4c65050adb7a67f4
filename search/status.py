"""How a study is doing and what one trial got, as JSON-ready values and as text for a terminal."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fer_core.labels import EXPRESSIONS
from fer_core.scores import Scores
from search.budget import Budget, Spent
from search.exporting import provenance_of
from search.foresight import suspects
from search.front import volume_of
from search.progress import NOWHERE, STATES, counts, describe, headline, phone_queue, remaining_seconds, result
from search.record import StudyRecord, TrialRecord
from search.tables import points


def summary(
    record: StudyRecord, *, being_written: bool, now: datetime, stages: Mapping[int, str] = NOWHERE
) -> dict[str, Any]:
    """Return the state of a study: ``running`` while a driver holds it, ``finished`` when its trials are told.

    Else ``out of budget`` where another part of the budget ended the last run, or ``interrupted``; ``reason`` is what
    the last run said at its end. *stages* tells where the trials are that are being walked, by number.
    """
    stages = stages if being_written else NOWHERE
    left = remaining_seconds(record, now) if being_written else None
    budget, volume = record.config.budget, volume_of(record)
    last = record.runs[-1] if record.runs else None
    return {
        "study": record.opened.name,
        "state": state_of(record, being_written=being_written),
        "reason": "" if being_written or last is None else last.reason,
        "ended_by": None if being_written or last is None else last.spent or None,
        "spent": record.spent.model_dump(mode="json"),
        "objectives": list(record.config.objectives),
        "budget": budget.model_dump(mode="json"),
        "trials": counts(record),
        "hypervolume": volume,
        "stages": dict(Counter(stages.values())),
        "phone_queue": phone_queue(stages),
        "seconds_left": None if left is None else max(0.0, left),
        "headline": headline(record, now, volume, stages) if being_written else "",
        "runs": [run.model_dump(mode="json") for run in record.runs],
        "ended": [
            {"trial": number, "state": outcome.state, "result": result(outcome), "candidate": describe(trial)}
            for number, trial in record.trials.items()
            if (outcome := trial.outcome)
        ],
        "running": [
            {
                "trial": trial.number,
                "candidate": describe(trial),
                "reports": len(trial.reports),
                "stage": stages.get(trial.number),
            }
            for trial in record.running
        ],
        "implausible": [{**one.model_dump(mode="json"), "sentence": one.sentence} for one in suspects(record)],
        "inherited": record.opened.inherited.model_dump() if record.opened.inherited else None,
        "config_digest": record.opened.config_digest,
    }


def state_of(
    record: StudyRecord, *, being_written: bool
) -> Literal["running", "finished", "out of budget", "interrupted"]:
    """Return the state of a study as ``summary`` tells it."""
    if being_written:
        return "running"
    last = record.runs[-1] if record.runs else None
    if len(record.told) >= record.config.budget.trials or (last and last.reason == "finished" and not record.running):
        return "finished"
    return "out of budget" if last and last.spent else "interrupted"


def as_text(found: dict[str, Any]) -> RenderableType:
    """Return a ``summary`` for a terminal."""
    head = Text.assemble((found["study"], "bold"), f": {found['state']}, ")
    told = sum(found["trials"][state] for state in STATES if state != "running")
    head.append(f"{told} of {found['budget']['trials']} trials ended (")
    head.append(", ".join(f"{count} {state}" for state, count in found["trials"].items()) + ")")
    bounds = Budget.model_validate(found["budget"]).sentences(Spent.model_validate(found["spent"]))
    head.append(f"\nbudget: {', '.join(bounds)}")
    if found["inherited"]:
        known = found["inherited"]
        head.append(f"\nknew from the beginning: {known['trials']} trials of {known['study']}, none of them below")
    if found["headline"]:
        head.append(f"\n{found['headline']}")
    elif found["hypervolume"] is not None:
        head.append(f"\nhypervolume {found['hypervolume']:.3f}")
    if found["state"] != "running" and found["reason"]:
        head.append(f"\nended: {found['reason']}")
    if found["state"] == "out of budget":
        head.append(f"\nraise budget.{found['ended_by']} in the study's own study.toml to go on, then:")
    if found["state"] in {"interrupted", "out of budget"}:
        head.append(f"\ncontinue with: fer-search resume {found['study']}")
    table = Table(header_style="bold", expand=False)
    for name in ("trial", "state", "result", "candidate"):
        table.add_column(name, no_wrap=name in {"trial", "state"})
    for row in found["ended"]:
        table.add_row(str(row["trial"]), row["state"], row["result"], row["candidate"])
    for row in found["running"]:
        at = f"{row['stage']}, " if row["stage"] else ""
        table.add_row(str(row["trial"]), "running", f"{at}{row['reports']} reports", row["candidate"])
    notes = [Text(one["sentence"], style="yellow") for one in found["implausible"]]
    return Group(head, table, *notes) if found["ended"] or found["running"] else head


def trial_facts(record: StudyRecord, trial: TrialRecord) -> dict[str, Any]:
    """Return everything that the ledger knows about one trial, provenance included."""
    outcome = trial.outcome
    return {
        "state": trial.state,
        "reason": outcome.reason if outcome else "",
        "blames": outcome.blames if outcome else None,
        "violations": outcome.violations if outcome else {},
        "forecast": outcome.forecast.model_dump(mode="json") if outcome and outcome.forecast else None,
        "stage_seconds": outcome.stage_seconds if outcome else {},
        "params": trial.params,
        "reports": [report.model_dump(mode="json") for report in trial.reports],
        "asked_at": None if trial.asked_at is None else trial.asked_at.isoformat(),
        "told_at": None if trial.told_at is None else trial.told_at.isoformat(),
        **provenance_of(record, trial),
    }


def trial_text(record: StudyRecord, trial: TrialRecord) -> RenderableType:
    """Return one trial for a terminal: candidate, ending, scores by half, class and group, measurement, digests."""
    parts: list[RenderableType] = [
        Text(f"trial {trial.number} of {record.opened.name}: {trial.state}", style="bold"),
        f"{describe(trial)}, {trial.candidate.deployment.threads} thread(s)",
        _pairs("training", trial.candidate.training.model_dump(mode="json")),
        _pairs("compression", trial.candidate.compression.model_dump(mode="json")),
    ]
    parts += [_pairs(f"epoch {report.rung}", report.values) for report in trial.reports]
    outcome = trial.outcome
    if outcome is None:
        return Group(*parts)
    parts += [f"result: {result(outcome)}"]
    if outcome.scorecard:
        card = outcome.scorecard
        halves = {"search half": card.search, "report half": card.report, "whole": card.whole}
        parts += [scores_table({name: scores for name, scores in halves.items() if scores})]
    if outcome.measurement:
        parts += [_pairs("measurement", outcome.measurement.model_dump(mode="json", exclude={"readings"}))]
    if outcome.forecast:
        parts += [_pairs("forecast", outcome.forecast.model_dump(mode="json"))]
    parts += [_pairs("seconds", {name: round(value, 1) for name, value in outcome.stage_seconds.items()})]
    facts = provenance_of(record, trial)
    parts += [_pairs("digests", {"candidate": facts["candidate_digest"], **facts["digests"]}), *facts["notes"]]
    return Group(*parts)


def scores_table(halves: dict[str, Scores]) -> Table:
    """Return a table of *halves* side by side: a column each, a row per number, in points of 100."""
    table = Table(header_style="bold", expand=False)
    table.add_column("points of 100 [95 %]")
    for name, scores in halves.items():
        table.add_column(f"{name} ({scores.images} images, {scores.subjects} subjects)", justify="right")

    def row(name: str, texts: list[str]) -> None:
        table.add_row(name, *texts)

    every = list(halves.values())
    row("macro-F1", [points(s.macro_f1, s.macro_f1_interval.low, s.macro_f1_interval.high) for s in every])
    row("accuracy", [points(s.accuracy) for s in every])
    row("balanced accuracy", [points(s.balanced_accuracy) for s in every])
    row("gap", [points(s.gap, *(_ends(s))) for s in every])
    row("gap expected by chance", [points(s.gap_null) for s in every])
    row("p of the gap", ["-" if s.gap_p is None else f"{s.gap_p:.4f}" for s in every])
    for expression in EXPRESSIONS:
        row(f"F1 {expression}", [points(s.class_f1.get(expression)) for s in every])
    for what, parts in (("group", [s.groups for s in every]), ("mouth", [s.mouths for s in every])):
        for name in sorted({part.group for scored in parts for part in scored}):
            found = [next((part for part in scored if part.group == name), None) for scored in parts]
            row(
                f"F1 {what} {name}",
                [points(p.macro_f1, p.macro_f1_interval.low, p.macro_f1_interval.high) if p else "-" for p in found],
            )
    return table


def _ends(scores: Scores) -> tuple[float | None, float | None]:
    return (scores.gap_interval.low, scores.gap_interval.high) if scores.gap_interval else (None, None)


def _pairs(title: str, values: dict[str, Any]) -> str:
    return f"{title}: " + ", ".join(f"{key} {value}" for key, value in values.items())

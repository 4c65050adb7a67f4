"""``fer-search plan``: reads what a plan rests on, and shows it."""

import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.box import HORIZONTALS
from rich.console import Group, RenderableType
from rich.table import Table

from fer_core.data.listing import list_source
from fer_core.data.sources import DataSource
from fer_core.specs import ARCHITECTURE_TITLES, Population
from search import paces
from search.candidate import Candidate
from search.config import StudyConfig
from search.foresight import distinct
from search.planning import ROOFLINE, Estimate, Looks, Plan, plan
from search.prediction import FEWEST, Example, Predictor, features_of
from search.record import StudyRecord
from search.sketch import Sketch, outlined, sketch

CAUTION = (
    "Estimates, made before anything is spent: for candidates drawn by chance. The search's own choices are kinder to "
    "the budget: more of them keep the constraints, and more of them share a training."
)
ROWS = {
    "feasible": "trials within the constraints",
    "training": "training and repair",
    "export": "exports",
    "scoring": "scoring",
    "graphs": "latencies to measure",
    "phones": "phones",
    "disk": "disk",
    "duration": "duration",
}


def plan_of(config: StudyConfig, *, like: StudyRecord | None = None, cores: int | None = None) -> Plan:
    """Return the plan of *config*; stages and phones are as fast as in *like*, else as measured here or assumed.

    *cores* work at a time: as many as this process may use, if it is not said.

    Raises:
        DataError: a folder of faces cannot be listed.
    """
    looks = ROOFLINE if like is None else learnt_from(like)
    cores = cores or len(os.sched_getaffinity(0))
    images, judged = faces_of(config), len(list_source(config.data.evaluation).examples)
    sizes = {name: min(config.space.input_size) for name in config.space.architecture}
    known = paces.Paces(training={})
    if like is not None:
        beside = max(1, like.config.budget.concurrency)
        known = paces.of_ledger(like, faces_of(like.config), max(1, cores // beside))
    missing = {name: size for name, size in sizes.items() if name not in known.training}
    if missing:
        known = paces.together(known, paces.measured(missing))
    return plan(config, known, images, judged, cores=cores, rng=np.random.default_rng(config.seed), looks=looks)


def learnt_from(like: StudyRecord) -> Looks:
    """Return a look at candidates that the measurements of *like* taught; the roofline's where they are too few.

    What is learnt is the step from a sketch to a measurement, so how far sketches are from exported files is in it.
    """
    examples = distinct(
        Example(features=_features(trial.candidate), median_ms=latency)
        for trial in like.trials.values()
        if trial.reports and (latency := trial.reports[0].values.get("latency_ms", 0.0)) > 0
    )
    if len(examples) < FEWEST:
        return ROOFLINE
    predictor = Predictor.of(examples)
    doubt = float(np.expm1(np.quantile(np.abs(predictor.left_out[0]), 0.9)))

    @functools.lru_cache(maxsize=4096)
    def latency_of(features: tuple[float, ...]) -> float:
        return predictor.predict([features])[0].median_ms

    def look(candidate: Candidate) -> Sketch:
        return sketch(candidate)._replace(latency_ms=latency_of(_features(candidate)))

    return Looks(look, f"latencies learnt from {len(examples)} measurements of {like.opened.name}", doubt)


def _features(candidate: Candidate) -> tuple[float, ...]:
    return features_of(outlined(candidate), candidate.deployment.threads)


def faces_of(config: StudyConfig) -> dict[Population, int]:
    """Return how many faces each population of *config* trains on, before duplicates leave.

    Raises:
        DataError: a folder of faces cannot be listed.
    """
    shown = [example.population for source in config.data.training for example in _examples(source)]
    counts: dict[Population, int] = {
        "children": shown.count("children"),
        "adults": shown.count("adults"),
        "all": len(shown),
    }
    return {name: round(paces.TRAINED * count) for name, count in counts.items()}


def _examples(source: DataSource) -> Sequence[Any]:
    return list_source(source).examples


def as_text(found: Plan) -> RenderableType:
    """Return *found* for a terminal."""
    endless = f"endless: {', '.join(found.continuous)} {'is' if len(found.continuous) == 1 else 'are'} continuous"
    space = endless if found.candidates is None else f"{found.candidates:,.0f} candidates"
    faces = ", ".join(f"{count:,} {name}" for name, count in found.images.items() if count)
    networks = Table(title=f"{found.study}: {found.trials} trials", title_justify="left", box=HORIZONTALS)
    for name in ("network", "trials", "feasible", "latency, ms", "size, MB", "compute, h"):
        networks.add_column(name, justify="left" if name == "network" else "right", no_wrap=True)
    for row in found.networks:
        networks.add_row(
            ARCHITECTURE_TITLES[row.architecture],
            f"{row.trials:.0f}",
            f"{row.feasible:.0%}",
            _spread(row.latency_ms),
            _spread(row.size_mb),
            f"{row.core_hours:.3g}",
        )
    numbers = Table(box=HORIZONTALS)
    for name in ("estimate", "value", "basis"):
        numbers.add_column(name, justify="right" if name == "value" else "left")
    for key, title in ROWS.items():
        numbers.add_row(title, _value(found.estimates[key]), found.estimates[key].basis)
    ends = f"budget: {', '.join(found.budget)}"
    return Group(f"space: {space}", f"faces to train on: {faces}", ends, networks, numbers, CAUTION)


def _spread(values: tuple[float, float, float]) -> str:
    low, middle, high = values
    return f"{middle:.1f} [{low:.1f}, {high:.1f}]"


def _value(one: Estimate) -> str:
    scale, unit, digits = 1.0, f" {one.unit}", ".2g"
    if one.unit == "share":
        scale, unit, digits = 100.0, " %", ".0f"
    elif one.unit == "measurements":
        unit, digits = "", ".0f"
    elif one.unit.endswith("hours") and one.value < 1:
        scale, unit, digits = 60.0, f" {one.unit.removesuffix('hours')}minutes", ".2g"
    shown = [f"{number * scale:{digits}}" for number in (one.value, one.low, one.high) if number is not None]
    between = f" [{shown[1]}, {shown[2]}]" if len(shown) > 2 and shown[1] != shown[2] else ""
    return f"{shown[0]}{between}{unit}"

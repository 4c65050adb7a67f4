"""The front: which trials no other trial beats, how sure that is, and one row of numbers for each.

Conventions of every function here: *values* is float (n, m), a row per trial and a column per objective, in the
objective's own unit and sign (F1 and gap are fractions, latency is milliseconds); *directions* says for each column
whether more or less is better. NumPy and moocore only.

References:
    Fonseca, Paquete & Lopez-Ibanez (2006), An improved dimension-sweep algorithm for the hypervolume indicator,
    IEEE CEC 1157-1163 (the algorithm in moocore).
    Davison & Hinkley (1997), Bootstrap Methods and their Application, 3.8 (resampling clusters: here, children).
"""

from collections.abc import Sequence
from typing import NamedTuple

import moocore
import numpy as np
from numpy.typing import NDArray

from devicelab.measurement import Measurement
from fer_core import statistics
from fer_core.scores import Scorecard
from search.candidate import digest_of
from search.config import StudyConfig
from search.errors import NothingToShow
from search.objectives import DIRECTIONS, Direction, ObjectiveName
from search.record import StudyRecord, TrialRecord
from search.rows import FrontRow, row_of

__all__ = [
    "FrontRow",
    "Volume",
    "front_rows",
    "hypervolume",
    "hypervolume_history",
    "membership",
    "non_dominated",
    "volume_of",
]

Floats = NDArray[np.float64]

DRAWS = 1000
"""Draws behind a membership probability: its standard error is at most 0.016."""


NORMAL_95 = 1.959964
"""Half the width of a 95 % interval in standard deviations of a normal."""


class Volume(NamedTuple):
    """A hypervolume: ``share`` of the box between reference point and ideal, and the points ``outside`` that box."""

    share: float
    outside: int


def non_dominated(values: Floats, directions: Sequence[Direction]) -> NDArray[np.bool_]:
    """Return the mask (n,) of the rows of *values* (n, m) that no other row dominates.

    A row dominates another when it is at least as good in every column and better in one; so rows that are equal
    stand or fall together. Rows with NaN are never on the front and dominate nothing.
    """
    known = ~np.isnan(values).any(axis=1)
    mask = np.zeros(len(values), dtype=bool)
    if known.any():
        mask[known] = moocore.is_nondominated(values[known], maximise=_maximised(directions), keep_weakly=True)
    return mask


def hypervolume(values: Floats, directions: Sequence[Direction], reference: Sequence[float]) -> Volume:
    """Return the hypervolume of *values* (n, m) from *reference* (m,), as a share of the box up to the ideal point.

    The ideal is 1 for what is maximised (F1) and 0 for what is minimised (gap, latency), so the share lies in [0, 1]
    and more is better. Points that are not better than the reference in every column span no volume: they are
    dropped and counted in ``outside``. Rows with NaN are dropped and counted too. No points: share 0.
    """
    corner = np.asarray(reference, dtype=np.float64)
    more = np.asarray(_maximised(directions))
    inside = np.where(more, values > corner, values < corner).all(axis=1)  # False for NaN
    outside = int(len(values) - inside.sum())
    if not inside.any():
        return Volume(0.0, outside)
    box = float(np.prod(np.abs(np.where(more, 1.0, 0.0) - corner)))
    return Volume(float(moocore.hypervolume(values[inside], ref=corner, maximise=more.tolist())) / box, outside)


def volume_of(record: StudyRecord) -> float | None:
    """Return the hypervolume share of all complete trials of *record*, ``None`` if there are none."""
    trials = record.complete
    return hypervolume(_values(trials, record.config), *_axes(record.config)).share if trials else None


def hypervolume_history(record: StudyRecord) -> tuple[tuple[int, float], ...]:
    """Return (complete trials so far, hypervolume share) after each complete trial, in the order of their endings."""
    trials = [record.trials[number] for number in record.told if record.trials[number].state == "complete"]
    directions, reference = _axes(record.config)
    front, share, history = _values([], record.config), 0.0, []
    for count, values in enumerate(_values(trials, record.config), start=1):
        candidates = np.vstack([front, values])
        mask = non_dominated(candidates, directions)
        if mask[-1]:  # else the volume is what it was
            front = candidates[mask]
            share = hypervolume(front, directions, reference).share
        history.append((count, share))
    return tuple(history)


def membership(
    trials: Sequence[TrialRecord], config: StudyConfig, *, draws: int = DRAWS, seed: int = 0
) -> NDArray[np.float64]:
    """Return the probability (n,) that each of *trials* is on the front of a set of children like this one.

    In each of *draws* draws the children of the search half (of the whole set where it was too small to be split) are
    resampled, the same for all trials; F1 and the gap of every trial are taken anew and its latency is drawn from its
    interval as a normal. The probability is the share of draws in which the trial is non-dominated. Draws are centred
    on the observed value, because resampling pushes a maximum of differences such as the gap upward; the shrunk gap
    stays at or above 0.
    Trials that share one measurement share its draw: their latency does not differ. Objectives whose
    uncertainty is not known (a scorecard without subjects, a gap without groups) stay at their value.
    """
    if not trials:
        return np.zeros(0)
    sampled = np.stack([_draws_of(trial, config, draws=draws, seed=seed) for trial in trials], axis=1)
    directions, _ = _axes(config)
    return np.asarray(np.mean([non_dominated(values, directions) for values in sampled], axis=0))


def front_rows(record: StudyRecord, *, everything: bool = False, draws: int = DRAWS) -> tuple[FrontRow, ...]:
    """Return the rows of the front, or of all complete trials where *everything*, fastest first.

    Raises:
        NothingToShow: no trial is complete yet.
    """
    trials = record.complete
    if not trials:
        ended = sum(trial.outcome is not None for trial in record.trials.values())
        raise NothingToShow(
            f"{record.opened.name}: no trial is complete yet ({ended} ended, {len(record.running)} running); "
            f"fer-search status {record.opened.name} tells why"
        )
    directions, _ = _axes(record.config)
    mask = non_dominated(_values(trials, record.config), directions)
    chances = membership(trials, record.config, draws=draws, seed=record.config.seed)
    rows = [
        row_of(trial, on_front=bool(on_front), probability=float(chance))
        for trial, on_front, chance in zip(trials, mask, chances, strict=True)
        if on_front or everything
    ]
    return tuple(sorted(rows, key=lambda row: (row.latency_ms or 0.0, -(row.f1 or 0.0), row.trial)))


def _maximised(directions: Sequence[Direction]) -> list[bool]:
    return [direction == "maximize" for direction in directions]


def _axes(config: StudyConfig) -> tuple[list[Direction], list[float]]:
    """Return the directions and the reference point (m,) of a study's objectives."""
    return [DIRECTIONS[name] for name in config.objectives], [
        config.reference_point[name] for name in config.objectives
    ]


def _values(trials: Sequence[TrialRecord], config: StudyConfig) -> Floats:
    """Return the objectives (n, m) of *trials*; NaN where an outcome does not tell one."""
    rows = [
        [trial.outcome.values.get(name, np.nan) if trial.outcome else np.nan for name in config.objectives]
        for trial in trials
    ]
    return np.asarray(rows, dtype=np.float64).reshape(len(trials), len(config.objectives))


def _draws_of(trial: TrialRecord, config: StudyConfig, *, draws: int, seed: int) -> Floats:
    """Return draws (draws, m) of the objectives of one complete trial."""
    columns = np.repeat(_values([trial], config), draws, axis=0)
    outcome = trial.outcome
    if outcome is None:
        return columns
    place = {name: column for column, name in enumerate(config.objectives)}
    if outcome.measurement and "latency" in place:
        columns[:, place["latency"]] += _latency_deviations(outcome.measurement, draws, seed)
    if outcome.scorecard:
        for name, deviations in _score_deviations(outcome.scorecard, draws, seed).items():
            if name in place:
                columns[:, place[name]] += deviations
    return np.maximum(columns, 0.0)


def _score_deviations(card: Scorecard, draws: int, seed: int) -> dict[ObjectiveName, Floats]:
    """Return what resampling the children adds to F1 and to the shrunk gap in each draw (draws,).

    Where the gap is below its null expectation, so that the shrunk gap is cut off at 0, the deviation of the gap
    starts from below 0.
    """
    scores = card.search or card.whole
    counts = statistics.unpack_counts(card.subject_confusions)
    groups = card.subject_groups or ("",) * len(counts)
    if not len(counts):
        return {}
    resampled = statistics.bootstrap(counts, groups, draws=draws, seed=seed)
    found: dict[ObjectiveName, Floats] = {"f1": resampled.macro_f1 - resampled.macro_f1.mean()}
    large = statistics.large_groups(groups)
    if len(large) > 1 and scores.gap is not None and scores.gap_null is not None:
        gap = resampled.gap(large)
        found["gap"] = gap - gap.mean() + min(0.0, scores.gap - scores.gap_null)
    return found


def _latency_deviations(measurement: Measurement, draws: int, seed: int) -> Floats:
    """Return normal deviations (draws,) in milliseconds, the same for everything this measurement is the latency of."""
    known = (measurement.fingerprint, measurement.threads, measurement.product, measurement.os_build)
    name = digest_of(*known, measurement.runtime, measurement.protocol)
    rng = np.random.default_rng([seed, int(name[:16], 16)])
    return rng.normal(0.0, (measurement.high_ms - measurement.low_ms) / (2 * NORMAL_95), size=draws)

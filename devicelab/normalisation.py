"""How slow a phone is beside its like, and whether that changes. Pure.

Phones of one product differ by some percent. References, measured on a schedule, give each phone a factor: what it
takes over what a typical phone takes. The factor follows slow change by an exponentially weighted moving average
(EWMA, Roberts 1959); a change that is too quick for that is flagged by a cumulative sum (CUSUM, Page 1954) against
the factor that the phone had when it was calibrated.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Annotated

from pydantic import Field

from devicelab.device import Value


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a phone's reference is due, and how its factor is kept.

    After ``every_measurements`` or ``every_seconds``, whichever comes first. ``weight`` is the EWMA's (lambda).
    ``baseline`` references make the factor that the CUSUM compares with. ``reference_sd`` is the relative standard
    deviation of one reference beyond its own error (process starts); one that is further off than ``clip`` of its
    standard deviations counts as if it were that far. ``slack`` and ``limit`` are the
    CUSUM's k and h in standard deviations of one reference: chosen so that 3 % are flagged within 5 references
    and nothing is flagged falsely more than once in 1000 (benchmarks/measurement_protocol.py measures both).
    """

    every_measurements: int = 20
    every_seconds: float = 1800.0
    weight: float = 0.2
    baseline: int = 12
    reference_sd: float = 0.009
    slack: float = 1.2
    limit: float = 4.0
    clip: float = 4.0


SCHEDULE = Schedule()


class Calibration(Value):
    """What is known of a phone: its ``factor`` over a typical one, and that factor's relative standard ``error``.

    ``references`` counts the references behind it, the last of them at ``measured_at`` (seconds since 1970).
    ``baseline`` is the factor when it was calibrated, ``upper`` and ``lower`` are the CUSUM's two sums.
    """

    factor: Annotated[float, Field(gt=0)]
    error: Annotated[float, Field(ge=0)]
    references: int
    baseline: float
    upper: float
    lower: float
    measured_at: float


def calibrated(
    before: Calibration | None, ratio: float, error: float, now: float, schedule: Schedule = SCHEDULE
) -> Calibration:
    """Return what is known after a reference took *ratio* (> 0) of a typical phone's time, with a relative *error*.

    The first ``1 / weight`` references count alike, later ones decay. A phone that has drifted (``drifted``)
    is calibrated anew by calling this with ``None``.
    """
    own = math.hypot(error, schedule.reference_sd)
    if before is not None:
        reach = math.exp(schedule.clip * own)
        ratio = min(max(ratio, before.factor / reach), before.factor * reach)
    if before is None:
        return Calibration(factor=ratio, error=own, references=1, baseline=ratio, upper=0.0, lower=0.0, measured_at=now)
    count = before.references + 1
    weight = max(1 / count, schedule.weight)
    factor = before.factor * (ratio / before.factor) ** weight
    uncertain = math.hypot((1 - weight) * before.error, weight * own)
    if count <= schedule.baseline:
        baseline = before.baseline * (ratio / before.baseline) ** (1 / count)
        upper = lower = 0.0
    else:
        baseline = before.baseline
        apart = math.log(ratio / baseline) / own
        upper = max(0.0, before.upper + apart - schedule.slack)
        lower = max(0.0, before.lower - apart - schedule.slack)
    return Calibration(
        factor=factor, error=uncertain, references=count, baseline=baseline, upper=upper, lower=lower, measured_at=now
    )


def drifted(calibration: Calibration, schedule: Schedule = SCHEDULE) -> bool:
    """Whether the phone has changed since it was calibrated, in either direction."""
    return max(calibration.upper, calibration.lower) > schedule.limit


def due(calibration: Calibration | None, measurements: int, now: float, schedule: Schedule = SCHEDULE) -> bool:
    """Whether a phone needs a reference at *now*, after *measurements* since the last one."""
    if calibration is None or measurements >= schedule.every_measurements:
        return True
    return now - calibration.measured_at >= schedule.every_seconds


def phone_spread(factors: Sequence[float]) -> float:
    """Return the relative standard deviation of the *factors* of phones, 0.0 below two."""
    return stdev(factors) / fmean(factors) if len(factors) > 1 else 0.0

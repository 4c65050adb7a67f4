"""From blocks to a measurement: another block, an answer, or a refusal. Pure.

Whoever runs blocks asks ``judge`` after each one, with all readings and all failures so far, and
does what it says; ``measurement_of`` puts the answer together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from devicelab.device import Platform
from devicelab.errors import DeviceError, HostError, Reason, RefusedError
from devicelab.estimation import AGREEMENT, CLOSE, NORMAL_99, Block, Interval, agreeing, clears, combine
from devicelab.faults import FAULTS
from devicelab.measurement import PROTOCOL, Measurement, Reading, Workload

MAX_BLOCKS = 5
"""Believed blocks of one measurement; if no two of them agree, it is refused."""
MAX_FAILURES = 6
"""Blocks of one measurement that may fail or be refused."""
MAX_RESTLESS = 2
"""Blocks that may be refused because single runs scatter too much: more runs would not help."""
PLAUSIBLE = (0.6, 1.6)
"""A latency outside this range of its prediction is measured again on another phone before it is believed."""


@dataclass(frozen=True, slots=True)
class Again:
    """Run another block, in a new process: on a phone not in *avoid* if there is one; if *strict*, on no other."""

    avoid: frozenset[str] = frozenset()
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Agreed:
    """The answer: latency on a typical phone, indices of the readings behind it, and the side of the threshold."""

    latency: Interval
    used: tuple[int, ...]
    over: bool | None = None


def judge(
    readings: Sequence[Reading],
    failures: Sequence[DeviceError | HostError] = (),
    *,
    threshold_ms: float | None = None,
    prior_ms: float | None = None,
    alone: bool = False,
) -> Again | Agreed:
    """Say what follows from all *readings* and *failures* so far.

    Two readings that are close after normalisation are an answer, or two of more within 2 % of the median; so is a
    single one that surely clears *threshold_ms*; its side is told only if it is sure at 99 %. What is implausible
    beside the prediction *prior_ms* needs readings from two phones, unless the lab is *alone* with one.

    Raises:
        RefusedError: no more blocks are worth it; ``reason`` is that of the failures, or ``disagreement``.
    """
    _check_failures(failures)
    blocks = [block_of(reading) for reading in readings]
    used = _used(blocks, threshold_ms)
    if used is not None:
        chosen = [blocks[index] for index in used]
        latency = combine(chosen, blocks)
        devices = frozenset(blocks[index].device for index in used)
        if _implausible(latency.value, prior_ms) and len(devices) == 1 and not alone:
            if len(blocks) >= MAX_BLOCKS:
                text = f"refused: {latency.value:.2f} ms where {prior_ms:.2f} ms were predicted, on one phone only"
                raise RefusedError(text, "implausible")
            return Again(avoid=devices, strict=True)
        return Agreed(latency, used, _side(combine(chosen, blocks, NORMAL_99), threshold_ms))
    if len(blocks) >= MAX_BLOCKS:
        medians = ", ".join(f"{one.normalised:.2f}" for one in blocks)
        text = f"refused: no two of {len(blocks)} blocks agree within {AGREEMENT:.0%} (medians {medians} ms)"
        raise RefusedError(text, "disagreement", FAULTS["F27"])
    return Again(avoid=frozenset(one.device for one in blocks))


def _used(blocks: Sequence[Block], threshold_ms: float | None) -> tuple[int, ...] | None:
    """Return the indices of the blocks that make the answer, ``None`` if there is none yet."""
    if len(blocks) == 1 and threshold_ms is not None:
        return (0,) if clears(threshold_ms, blocks[0]) is not None else None
    return agreeing([one.normalised for one in blocks], CLOSE)


def measurement_of(
    workload: Workload,
    platform: Platform,
    readings: Sequence[Reading],
    agreed: Agreed,
    *,
    phone_seconds: float,
    now: float,
    threshold_ms: float | None = None,
    prior_ms: float | None = None,
) -> Measurement:
    """Return the measurement that *agreed* makes of *readings*; *phone_seconds* counts failed blocks too."""
    used = tuple(readings[index] for index in agreed.used)
    p90 = [reading.p90_ms / reading.factor for reading in used if reading.p90_ms is not None]
    return Measurement(
        median_ms=agreed.latency.value,
        low_ms=agreed.latency.low,
        high_ms=agreed.latency.high,
        p90_ms=sum(p90) / len(p90) if p90 else None,
        first_ms=sum(reading.first_ms / reading.factor for reading in used) / len(used),
        runs=sum(reading.runs for reading in used),
        fingerprint=workload.fingerprint,
        threads=workload.threads,
        device=" + ".join(sorted({reading.device for reading in used})),
        product=platform.product,
        os_build=platform.os_build,
        runtime=platform.runtime,
        protocol=PROTOCOL,
        source=platform.source,
        readings=used,
        blocks=len(readings),
        phone_seconds=phone_seconds,
        measured_at=now,
        threshold_ms=threshold_ms,
        over=agreed.over,
        prior_ms=prior_ms,
    )


def block_of(reading: Reading) -> Block:
    """Return what the statistics look at of *reading*."""
    median = Interval(reading.median_ms, reading.low_ms, reading.high_ms)
    return Block(reading.device, median, reading.factor, reading.factor_error)


def _check_failures(failures: Sequence[DeviceError | HostError]) -> None:
    restless = [one for one in failures if isinstance(one, RefusedError) and one.reason == "restless"]
    if len(restless) >= MAX_RESTLESS:
        raise RefusedError(f"refused: {restless[-1]}", "restless", FAULTS["F27"])
    if len(failures) >= MAX_FAILURES:
        reasons: list[Reason] = [one.reason for one in failures if isinstance(one, RefusedError)]
        texts = "; ".join(str(one) for one in failures)
        reason = reasons[-1] if reasons and len(reasons) == len(failures) else "failures"
        raise RefusedError(f"{len(failures)} blocks failed: {texts}", reason, failures[-1].fault)


def _implausible(latency_ms: float, prior_ms: float | None) -> bool:
    return prior_ms is not None and not PLAUSIBLE[0] <= latency_ms / prior_ms <= PLAUSIBLE[1]


def _side(latency: Interval, threshold_ms: float | None) -> bool | None:
    if threshold_ms is None or latency.low <= threshold_ms <= latency.high:
        return None
    return latency.low > threshold_ms

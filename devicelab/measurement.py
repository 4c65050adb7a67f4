"""What is run and what came out: workload, reading, measurement. Light: pydantic and numpy only."""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from devicelab.device import Source, Value

PROTOCOL = "two-canaried-blocks-3"
"""Name and version of the measurement protocol; a change of its rules needs a new name, which empties the cache."""


class Workload(Value):
    """What to run: a .tflite on a number of CPU threads.

    ``fingerprint`` identifies the graph without its weights (``devicelab.graph``); latency is a
    property of the graph, so it is the fingerprint, not the file, that a measurement belongs to.
    """

    path: Path
    fingerprint: str
    threads: Annotated[int, Field(ge=1)]

    @classmethod
    def of(cls, path: Path, threads: int) -> "Workload":
        """Read the graph at *path* and return the workload that runs it on *threads* threads.

        Raises:
            WorkloadError: the file is missing, truncated or no .tflite.
        """
        from devicelab.graph import read_graph  # needs the extra [lab]; the values above do not

        return cls(path=path, fingerprint=read_graph(path).fingerprint, threads=threads)


Milliseconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Burst(Value):
    """What one call of a benchmark gave: the statistics of *runs* back-to-back inferences, timed on the phone.

    ``sd_ms`` is the population's standard deviation. ``median_ms`` and ``p95_ms`` are ``None`` where the
    tool prints none (old builds of TensorFlow Lite's). ``first_ms`` is the cold first inference, ``None``
    if the process had already run the network. ``times_ms`` has every single run in order where
    the driver sees them, else it is empty; then a cold first run is among them, as ``times_ms[0]``, and
    counts like the others. A tool that only summarises keeps its warm-up out of the statistics.
    """

    runs: Annotated[int, Field(ge=1)]
    mean_ms: Milliseconds
    sd_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    min_ms: Milliseconds
    max_ms: Milliseconds
    median_ms: Milliseconds | None = None
    p95_ms: Milliseconds | None = None
    first_ms: Milliseconds | None = None
    times_ms: tuple[Milliseconds, ...] = ()

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        inside = [self.min_ms, self.mean_ms, self.max_ms]
        near = 1e-5 * self.max_ms  # tools print six digits of the mean
        if not inside[0] - near <= inside[1] <= inside[2] + near:
            raise ValueError(f"mean {self.mean_ms:g} ms is not between {self.min_ms:g} and {self.max_ms:g}")
        if self.times_ms and len(self.times_ms) != self.runs:
            raise ValueError(f"{len(self.times_ms)} times for {self.runs} runs")
        return self

    @classmethod
    def of(cls, times_ms: Sequence[float] | NDArray[np.float64], *, cold: bool = False) -> "Burst":
        """Return the burst of the single runs *times_ms*, of which the first was *cold* or not.

        Raises:
            ValueError: there is none, or one is not a finite number above 0.
        """
        times = np.asarray(times_ms, dtype=np.float64)
        ordered = np.sort(times)
        count = len(ordered)
        if not count or not ordered[0] > 0 or not math.isfinite(ordered[-1]):
            raise ValueError("a burst is one run or more, and each takes a finite time above 0")
        mean = times.sum() / count
        return cls.model_construct(  # everything is checked above; validating each of many thousand runs is not free
            runs=count,
            mean_ms=float(mean),
            sd_ms=math.sqrt(np.square(times - mean).sum() / count),
            min_ms=float(ordered[0]),
            max_ms=float(ordered[-1]),
            median_ms=float(ordered[(count - 1) // 2] + ordered[count // 2]) / 2,
            p95_ms=float(ordered[max(math.ceil(0.95 * count) - 1, 0)]),
            first_ms=float(times[0]) if cold else None,
            times_ms=tuple(times.tolist()),
        )

    @property
    def typical_ms(self) -> float:
        """The median where there is one, else the mean."""
        return self.mean_ms if self.median_ms is None else self.median_ms


class Reading(Value):
    """One block's numbers: one process start on one phone, timed until its median was known.

    All times are in milliseconds as the phone measured them. ``low_ms`` and ``high_ms`` bound the
    block's median at 95 % or better. ``p90_ms`` is ``None`` where single runs are not seen, ``first_ms`` is the
    cold first inference. ``canary_ms`` is the fixed reference workload right before and after, ``factor`` its ratio to
    the platform's nominal time (how slow this phone was just then, weighed with its calibration if there is one),
    ``factor_error`` that ratio's relative standard error. Temperatures (battery, in Celsius) are before and after.
    ``seconds`` is how long the block held the phone, waiting for it to cool included. ``warmup_runs`` are those that do
    not count: warm-up, and bursts that were apart from the rest. ``spread`` is the relative standard deviation of
    single runs, ``bursts`` the calls that count, ``boot_id`` the phone's start it happened in, ``load1`` the load
    average before it.
    """

    device: str
    median_ms: float
    low_ms: float
    high_ms: float
    p90_ms: float | None
    first_ms: float
    runs: int
    warmup_runs: int
    canary_ms: tuple[float, float]
    factor: float
    factor_error: float
    temperature_c: tuple[float, float]
    battery_percent: float
    frequency_mhz: float | None
    started_at: float
    seconds: float
    spread: float = 0.0
    bursts: int = 1
    boot_id: str = ""
    load1: float | None = None


class Measurement(Value):
    """The latency of one graph on one platform, with everything needed to trust and trace it.

    ``median_ms`` is the median time of one inference in milliseconds on a typical phone of the
    platform: the geometric mean of the agreeing blocks' medians, each divided by its phone's
    factor. ``low_ms`` and ``high_ms`` bound it at 95 %, including the spread between process
    starts and between phones (``devicelab.estimation.combine``). ``runs`` counts the timed
    inferences behind it, ``blocks`` all blocks that were run, ``readings`` are the blocks that agreed.
    ``phone_seconds`` is what it cost, ``measured_at`` seconds since 1970. ``threshold_ms`` is the border the
    request asked about, if it did, and ``over`` the answer: on which side of it the latency is, ``None`` if that
    is not sure at 99 %. Such a measurement stops as soon as that is sure, so its interval may be wide.
    ``prior_ms`` is what was predicted from the graph.
    """

    median_ms: float
    low_ms: float
    high_ms: float
    p90_ms: float | None
    first_ms: float
    runs: int
    fingerprint: str
    threads: int
    device: str
    product: str
    os_build: str
    runtime: str
    protocol: str
    source: Source
    readings: tuple[Reading, ...]
    blocks: int
    phone_seconds: float
    measured_at: float
    threshold_ms: float | None = None
    over: bool | None = None
    prior_ms: float | None = None


def answer_digest(parts: Sequence[object]) -> str:
    """Return the sha256 (hex) of *parts*, plain JSON values, that name what a measurement answers."""
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()

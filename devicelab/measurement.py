"""What is run and what came out: workload, reading, measurement. Light: pydantic only."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from devicelab.device import Source, Value

PROTOCOL = "two-canaried-blocks-1"
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


class Reading(Value):
    """One block's numbers: one process start on one phone, timed until its median was known.

    All times are in milliseconds as the phone measured them. ``low_ms`` and ``high_ms`` bound the
    block's median at 95 % or better. ``first_ms`` is the cold first inference. ``canary_ms`` is the
    fixed reference workload right before and after, ``factor`` its ratio to the platform's nominal
    time (how slow this phone was just then), ``factor_error`` that ratio's relative standard error.
    Temperatures (battery, in Celsius) are before and after. ``seconds`` is how long the block held
    the phone, waiting for it to cool included.
    """

    device: str
    median_ms: float
    low_ms: float
    high_ms: float
    p90_ms: float
    first_ms: float
    runs: int
    warmup_runs: int
    canary_ms: tuple[float, float]
    factor: float
    factor_error: float
    temperature_c: tuple[float, float]
    battery_percent: float
    frequency_mhz: float
    started_at: float
    seconds: float


class Measurement(Value):
    """The latency of one graph on one platform, with everything needed to trust and trace it.

    ``median_ms`` is the median time of one inference in milliseconds on a typical phone of the
    platform: the geometric mean of the agreeing blocks' medians, each divided by its phone's
    factor. ``low_ms`` and ``high_ms`` bound it at 95 %, including the spread between process
    starts and between phones (``devicelab.estimation.combine``). ``runs`` counts the timed
    inferences behind it, ``blocks`` all blocks that were run, ``readings`` are the blocks that agreed.
    ``phone_seconds`` is what it cost, ``measured_at`` seconds since 1970.
    """

    median_ms: float
    low_ms: float
    high_ms: float
    p90_ms: float
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

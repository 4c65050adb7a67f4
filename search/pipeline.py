"""The journey of a candidate, told from beginning to end: from four specs to an outcome.

Plain Python: no Ray, no Optuna. Whoever walks it (``search.tuning``, a test) gets a report per rung and at last the
outcome, and may stop after any of them; every stage is cached, so the way up to there is not lost.
"""

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Protocol

from devicelab.errors import DeviceError, WorkloadError
from devicelab.measurement import Measurement, Workload
from fer_core.artifact import Artifact
from fer_core.errors import CandidateError, DivergedError
from fer_core.scores import Scorecard, Scores
from fer_core.specs import ArchitectureSpec, CompressionSpec
from search.budget import Stage
from search.candidate import Candidate
from search.errors import StageTimeoutError
from search.objectives import Constraint, Forecast, ObjectiveName, Outcome
from search.provenance import code_digest, code_version, versions
from search.record import Report
from search.turns import one_by_one

if TYPE_CHECKING:
    from fer_core.checkpoint import EpochReport  # brings torch


type Guard = Callable[[Stage], AbstractContextManager[None]]
"""Entered for each stage; ``search.overseer`` ends there what takes too long."""


class Bench(Protocol):
    """What the journey needs; ``search.stages.Workbench`` has it."""

    def draft(self, architecture: ArchitectureSpec, compression: CompressionSpec, /) -> Artifact:
        """Export the network untrained."""

    @property
    def measure(self) -> Callable[..., Measurement]:
        """Measure a graph on a phone, or find its measurement; ``background`` lets others go first."""

    def train(self, candidate: Candidate, /) -> "Generator[EpochReport]":
        """Train, a report per epoch."""

    def export(self, candidate: Candidate, /) -> Artifact:
        """Compress and export the trained network."""

    def score(self, artifact: Artifact, /) -> Scorecard:
        """Score the exported file itself."""


class Foresight(Protocol):
    """What is known about a graph before it is measured; ``search.foresight.Foresight`` learns it."""

    def describe(self, workload: Workload, /) -> tuple[float, ...]:
        """Return the features of a graph."""

    def forecast(self, features: tuple[float, ...], /) -> Forecast | None:
        """Return the latency that they let expect, if anybody knows."""


class Blind:
    """Foresees nothing."""

    def describe(self, _workload: Workload) -> tuple[float, ...]:
        """Return no feature."""
        return ()

    def forecast(self, _features: tuple[float, ...]) -> Forecast | None:
        """Know nothing."""
        return None


def journey(
    candidate: Candidate,
    bench: Bench,
    constraints: Constraint,
    guard: Guard = lambda _stage: nullcontext(),
    foresight: Foresight = Blind(),  # noqa: B008 - it has no state
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Generator[Report | Outcome]:
    """Walk *candidate* through its stages; yield a report per rung (0: latency, then epochs) and at last an outcome.

    What *foresight* is sure to be over the bound of the latency is not measured: infeasible by prediction.
    What is the candidate's own fault becomes a ``failed`` outcome with the reason: also a number that is none, and a
    stage that takes longer than *guard* allows. Everything else is raised: a ``DeviceError`` after the lab has tried
    other phones (or none of them answered in time, or in numbers), and any error of ours. *clock* counts the seconds
    of stages.
    """
    watch = Stopwatch(clock, guard)
    try:
        with closing(_walk(candidate, bench, constraints, watch, foresight)) as steps:
            for step in steps:
                check_numbers(step)
                yield _traced(step, candidate, watch) if isinstance(step, Outcome) else step
    except (CandidateError, WorkloadError, StageTimeoutError) as error:
        if isinstance(error, StageTimeoutError) and error.stage == "measure":
            raise DeviceError(f"no phone answered: {error}") from error
        yield _traced(failure(error), candidate, watch)


def failure(error: Exception) -> Outcome:
    """Return the outcome of a candidate that is to blame for *error*."""
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return Outcome(state="failed", reason=reason, blames="candidate")


def check_numbers(step: Report | Outcome) -> None:
    """Refuse NaN and infinity.

    Raises:
        DeviceError: in a latency.
        DivergedError: in any other number; the network computes it.
    """
    wrong = {str(name): value for name, value in step.values.items() if not math.isfinite(value)}
    if not wrong:
        return
    told = ", ".join(f"{name} is {value}" for name, value in wrong.items())
    if any(name.startswith("latency") for name in wrong):
        raise DeviceError(f"a phone answered what is no number: {told}")
    raise DivergedError(f"{told} at rung {step.rung}" if isinstance(step, Report) else told)


def _walk(
    candidate: Candidate, bench: Bench, constraints: Constraint, watch: "Stopwatch", foresight: Foresight
) -> Generator[Report | Outcome]:
    threads = candidate.deployment.threads

    # Latency is a property of the graph, not of the weights: it is known before an epoch is trained.
    with watch("draft"):
        draft = bench.draft(candidate.architecture, candidate.compression)
        graph = Workload.of(draft.path, threads)
        features = foresight.describe(graph)
        forecast, bound = foresight.forecast(features), constraints.latency_ms
    if forecast and bound is not None and forecast.low_ms > bound:
        yield _hopeless(forecast, bound)
        return
    with watch("measure"):  # what will probably be over the bound waits for what will not
        doubtful = forecast is not None and bound is not None and forecast.median_ms > bound
        latency = bench.measure(graph, background=True) if doubtful else bench.measure(graph)
    values = {"latency_ms": latency.median_ms, "size_mb": megabytes(draft)}
    yield Report(rung=0, values=values, features=features, at=None)
    if broken := violations(latency, draft, constraints):
        yield _infeasible(broken, latency, constraints)
        return

    for epoch in watch.each("train", bench.train(candidate)):
        values = {"val_f1": epoch.val_f1, "val_accuracy": epoch.val_accuracy, "train_loss": epoch.train_loss}
        yield Report(rung=epoch.epoch, values=values, at=None)

    with watch("export"):
        artifact = bench.export(candidate)

    # Training should not have changed the graph. Where it did, the number from before says nothing.
    with watch("measure"):
        final = Workload.of(artifact.path, threads)
        if final.fingerprint != graph.fingerprint:
            latency = bench.measure(final)
    if broken := violations(latency, artifact, constraints):
        yield _infeasible(broken, latency, constraints)
        return

    # What ships is what is scored: the file, not the network that it came from.
    with watch("score"):
        card = bench.score(artifact)
    yield Outcome(
        state="complete",
        values=objective_values(card, latency),
        scorecard=card,
        measurement=latency,
        artifact=artifact,
        provenance={"evaluation_data": card.data_digest, "artifact": artifact.digest},
    )


def objective_values(card: Scorecard, latency: Measurement) -> dict[ObjectiveName, float]:
    """Return every objective that has a value, on the search half; on the whole set where it was too small to split."""
    scores: Scores = card.search or card.whole
    values: dict[ObjectiveName, float] = {"f1": scores.macro_f1, "latency": latency.median_ms}
    return values if scores.gap_shrunk is None else {**values, "gap": scores.gap_shrunk}


def violations(latency: Measurement, artifact: Artifact, constraints: Constraint) -> dict[str, float]:
    """Return how far each broken constraint is exceeded, in its unit."""
    got = {"latency_ms": latency.median_ms, "size_mb": megabytes(artifact)}
    over = {key: got[key] - bound for key, bound in constraints if bound is not None}
    return {key: excess for key, excess in over.items() if excess > 0}


def megabytes(artifact: Artifact) -> float:
    """Return the size of *artifact* in units of 10^6 bytes."""
    return artifact.size / 1e6


def _infeasible(broken: dict[str, float], latency: Measurement, constraints: Constraint) -> Outcome:
    bounds = dict(constraints)
    told = [f"{key} {bounds[key] + over:.4g} is over the bound of {bounds[key]:.4g}" for key, over in broken.items()]
    values: dict[ObjectiveName, float] = {"latency": latency.median_ms}
    return Outcome(state="infeasible", reason="; ".join(told), values=values, violations=broken, measurement=latency)


def _hopeless(forecast: Forecast, bound: float) -> Outcome:
    """Return the outcome of a candidate that is not worth a phone's time: no latency, for none was measured."""
    told = (
        f"latency_ms {forecast.median_ms:.4g} [{forecast.low_ms:.4g}, {forecast.high_ms:.4g}] is predicted from "
        f"{forecast.learnt} measurements, over the bound of {bound:.4g}; not measured"
    )
    over = {"latency_ms": forecast.median_ms - bound}
    return Outcome(state="infeasible", reason=told, violations=over, forecast=forecast)


def _traced(outcome: Outcome, candidate: Candidate, watch: "Stopwatch") -> Outcome:
    """Return *outcome* with where it comes from and what it cost."""
    provenance = {
        "candidate": candidate.digest,
        "code": code_digest("fer_core", "devicelab", "search"),
        "version": code_version(),
        "seed": str(candidate.training.seed),
        **versions(),
        **outcome.provenance,
    }
    return outcome.model_copy(update={"provenance": provenance, "stage_seconds": watch.seconds})


class Stopwatch:
    """Adds up the seconds of named stages; *clock* counts seconds from any origin, *guard* is entered for each."""

    def __init__(
        self, clock: Callable[[], float] = time.perf_counter, guard: Guard = lambda _stage: nullcontext()
    ) -> None:
        self._clock = clock
        self._guard = guard
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: Stage) -> Iterator[None]:
        """Count the time inside the block for *stage*."""
        begun = self._clock()
        try:
            with self._guard(stage):
                yield
        finally:
            self.seconds[stage] = round(self.seconds.get(stage, 0.0) + self._clock() - begun, 3)

    def each[Item](self, stage: Stage, items: Generator[Item]) -> Generator[Item]:
        """Yield *items*, counting for *stage* the time that each takes to come, not what is done with it."""
        return one_by_one(items, partial(self, stage))

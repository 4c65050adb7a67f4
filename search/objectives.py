"""What a trial is judged by, bounded by, and what it got: values without Ray, Optuna or torch."""

from typing import Literal

from devicelab.measurement import Measurement
from fer_core.artifact import Artifact
from fer_core.scores import Scorecard
from fer_core.specs import Spec
from search.errors import Party

ObjectiveName = Literal["f1", "gap", "latency"]
Direction = Literal["maximize", "minimize"]
TrialState = Literal["complete", "stopped", "infeasible", "failed"]

DIRECTIONS: dict[ObjectiveName, Direction] = {"f1": "maximize", "gap": "minimize", "latency": "minimize"}
"""``f1``: macro-F1 on the search half, fraction. ``gap``: shrunk gap, fraction. ``latency``: median, milliseconds."""


class Constraint(Spec):
    """An upper bound: a trial that exceeds it is infeasible. ``None`` = unbounded."""

    latency_ms: float | None = None
    size_mb: float | None = None


class Forecast(Spec):
    """Milliseconds as predicted from ``learnt`` measurements; the interval holds with probability ``level``."""

    median_ms: float
    low_ms: float
    high_ms: float
    level: float
    learnt: int


class Outcome(Spec):
    """How a trial ended: always one of four states, with a reason where it is not ``complete``.

    ``values`` holds one number per objective of the study for complete trials and may hold
    those already known for others. ``violations`` maps a broken constraint to measured - bound
    (> 0). ``provenance`` holds the digests (data, code, artifact, candidate) and the seed.
    ``blames`` is whose fault a failure is. ``forecast`` is why a candidate was not measured: it is infeasible by
    prediction, and has no latency.
    """

    state: TrialState
    reason: str = ""
    blames: Party | None = None
    values: dict[ObjectiveName, float] = {}
    violations: dict[str, float] = {}
    scorecard: Scorecard | None = None
    measurement: Measurement | None = None
    forecast: Forecast | None = None
    artifact: Artifact | None = None
    provenance: dict[str, str] = {}
    stage_seconds: dict[str, float] = {}

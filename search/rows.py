"""One trial as one flat row: the same numbers for the table, the JSON, the CSV and the report."""

from devicelab.measurement import Measurement
from fer_core.scores import Interval, Scores
from fer_core.specs import (
    ArchitectureName,
    Augmentation,
    ChannelImportance,
    Mixing,
    Population,
    Pruning,
    Quantization,
    Spec,
)
from search.record import TrialRecord


class FrontRow(Spec):
    """What one complete trial got. Fractions for F1, accuracy and gap, milliseconds, bytes; intervals hold 95 %.

    ``f1`` to ``worst_group`` are of the search half, which chose the trial and so flatters it; ``report_*`` of the
    half that no search has seen. Where the evaluation set was too small to be split, the former are of the whole set,
    the latter ``None``. ``source`` is ``"simulated"`` where no real phone measured the latency, ``measured_on`` names
    the phones, their system, the runtime and the route, ``synthetic_faces`` says that the faces were rendered.
    ``probability``: that the trial is on the front (``search.front.membership``). The rest is the candidate.
    """

    trial: int
    on_front: bool
    probability: float
    f1: float | None
    f1_low: float | None
    f1_high: float | None
    report_f1: float | None
    report_f1_low: float | None
    report_f1_high: float | None
    accuracy: float | None
    balanced_accuracy: float | None
    gap: float | None
    gap_low: float | None
    gap_high: float | None
    gap_p: float | None
    gap_shrunk: float | None
    worst_group: str | None
    worst_group_f1: float | None
    latency_ms: float | None
    latency_low_ms: float | None
    latency_high_ms: float | None
    source: str | None
    measured_on: str | None
    synthetic_faces: bool | None
    size_bytes: int | None
    architecture: ArchitectureName
    input_size: int
    weights: str
    population: Population
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    augmentation: Augmentation
    mixing: Mixing
    ema_decay: float
    teacher: ArchitectureName | None
    teacher_weights: str
    class_balance: float
    group_balance: float
    pruning: Pruning
    pruning_ratio: float
    channel_importance: ChannelImportance
    clusters: int | None
    quantization: Quantization
    fine_tune_epochs: int
    calibration_images: int
    qat_epochs: int
    threads: int
    seed: int
    candidate_digest: str
    artifact_digest: str | None


def row_of(trial: TrialRecord, *, on_front: bool, probability: float) -> FrontRow:
    """Return the row of *trial*; what its outcome does not tell is ``None``."""
    outcome = trial.outcome
    card = outcome.scorecard if outcome else None
    scores = (card.search or card.whole) if card else None
    report = card.report if card else None
    measured = outcome.measurement if outcome else None
    artifact = outcome.artifact if outcome else None
    candidate = trial.candidate
    return FrontRow(
        trial=trial.number,
        on_front=on_front,
        probability=probability,
        accuracy=scores.accuracy if scores else None,
        balanced_accuracy=scores.balanced_accuracy if scores else None,
        gap=scores.gap if scores else None,
        gap_p=scores.gap_p if scores else None,
        gap_shrunk=scores.gap_shrunk if scores else None,
        worst_group=_worst_group(scores),
        worst_group_f1=scores.worst_group_f1 if scores else None,
        f1=scores.macro_f1 if scores else None,
        report_f1=report.macro_f1 if report else None,
        **_bounds("f1", scores.macro_f1_interval if scores else None),
        **_bounds("report_f1", report.macro_f1_interval if report else None),
        **_bounds("gap", scores.gap_interval if scores else None),
        latency_ms=measured.median_ms if measured else None,
        latency_low_ms=measured.low_ms if measured else None,
        latency_high_ms=measured.high_ms if measured else None,
        source=measured.source if measured else None,
        measured_on=_place(measured) if measured else None,
        synthetic_faces=card.synthetic if card else None,
        size_bytes=artifact.size if artifact else None,
        artifact_digest=artifact.digest if artifact else None,
        candidate_digest=candidate.digest,
        architecture=candidate.architecture.name,
        input_size=candidate.architecture.input_size,
        weights=candidate.architecture.weights,
        threads=candidate.deployment.threads,
        **candidate.training.model_dump(),
        **candidate.compression.model_dump(),
    )


def _bounds(name: str, interval: Interval | None) -> dict[str, float | None]:
    return {f"{name}_low": interval.low if interval else None, f"{name}_high": interval.high if interval else None}


def _place(measured: Measurement) -> str:
    """Return the phones, what they are, and by which runtime and route they measured."""
    return f"{measured.device}: {measured.product}, {measured.os_build}; {measured.runtime}"


def _worst_group(scores: Scores | None) -> str | None:
    """Return the name of the group whose F1 is ``worst_group_f1``."""
    if scores is None or scores.worst_group_f1 is None:
        return None
    return next((group.group for group in scores.groups if group.macro_f1 == scores.worst_group_f1), None)

"""The numbers that judge a classifier, as values: no torch, no LiteRT, no pandas.

``Scores`` are computed from counts in ``fer_core.statistics`` and produced for a .tflite file by
``fer_core.scoring``.
"""

from pydantic import BaseModel, ConfigDict

from fer_core.labels import Expression


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Interval(_Value):
    """A 95 % interval, ``low <= high``, in the unit of the value that it stands beside."""

    low: float
    high: float


class GroupScore(_Value):
    """One ethnic group of the evaluation set, or its pictures with the mouth ``"open"`` or ``"closed"``.

    F1 and accuracy are fractions in [0, 1].
    """

    group: str
    subjects: int
    images: int
    accuracy: float
    macro_f1: float
    macro_f1_interval: Interval


class Scores(_Value):
    """What a classifier achieves on one set of faces. All rates are fractions in [0, 1].

    ``macro_f1`` is the mean F1 of all seven classes: a class without an image or a prediction
    counts as 0. Intervals are over subjects (children), not photographs. ``gap`` is the raw max - min of macro-F1
    over groups with at least ten subjects; ``gap_null`` its expectation when group labels are
    shuffled over subjects, ``gap_p`` the p-value of that permutation test and ``gap_shrunk`` =
    max(0, gap - gap_null), the objective that a search may optimise. The gap fields are ``None``
    where fewer than two groups are large enough. ``mouths`` has the pictures with open and with closed mouth apart,
    where the set tells. ``confusion[t][p]`` counts images of true class t
    predicted as p, in the order of ``fer_core.labels.EXPRESSIONS``.
    """

    images: int
    subjects: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    macro_f1_interval: Interval
    class_f1: dict[Expression, float]
    groups: tuple[GroupScore, ...] = ()
    worst_group_f1: float | None = None
    gap: float | None = None
    gap_interval: Interval | None = None
    gap_null: float | None = None
    gap_p: float | None = None
    gap_shrunk: float | None = None
    mouths: tuple[GroupScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...]


class Scorecard(_Value):
    """All that was scored for one .tflite on one evaluation set.

    The evaluation set is split by subject, stratified by group: the search optimises ``search``,
    people are told ``report``, and ``whole`` exists only for comparison with published numbers.
    ``search`` and ``report`` are ``None`` for sets too small to be split. ``data_digest`` identifies images and
    labels, ``model_digest`` the .tflite (SHA-256). ``subject_confusions`` packs the per-subject confusion
    counts of the search half (of the whole where there is none; ``fer_core.statistics.pack_counts``), from which
    paired statistics between models are drawn; ``subject_groups`` names the group of each of those subjects, in the
    same order.
    """

    model_digest: str
    data_digest: str
    synthetic: bool
    search: Scores | None
    report: Scores | None
    whole: Scores
    subject_confusions: str
    subject_groups: tuple[str, ...] = ()

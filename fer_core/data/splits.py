"""Splits by subject: nobody is ever on both sides. Pure functions of subject ids, never of the order of files.

All splits are systematic samples: subjects are sorted by stratum and, within it, by a hash of seed and id;
then every k-th is taken. Each stratum, and the whole, is thereby split within one subject of its share.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fer_core.data.faces import FaceSet
from fer_core.errors import DataError

type Mask = NDArray[np.bool_]


def halves(
    subjects: Sequence[str] | NDArray[np.str_], groups: Sequence[str] | NDArray[np.str_], seed: int = 0
) -> tuple[Mask, Mask]:
    """Split images into a search half and a report half, by subject, stratified by group.

    *subjects* and *groups* have one entry per image. Returns two complementary bool masks (n,). In each group, and
    overall, the halves differ by at most one subject.

    Raises:
        DataError: fewer than two subjects.
    """
    strata = _lowest(subjects, groups)
    report = _systematic(strata, fraction=0.5, seed=seed)
    mask = np.array([str(subject) in report for subject in subjects], dtype=np.bool_)
    return ~mask, mask


def validation_split(faces: FaceSet, fraction: float = 0.15, seed: int = 0) -> tuple[Mask, Mask]:
    """Split *faces* into training and validation images, by subject.

    Stratified by population, group and the subject's most frequent class: where every image is its own
    subject, this is a split stratified by class. Returns two complementary bool masks (n,), neither empty.

    Raises:
        DataError: fewer than two subjects.
    """
    labels = _most_frequent(faces.subjects, faces.labels)
    groups = _lowest(faces.subjects, [f"{p}/{g}" for p, g in zip(faces.populations, faces.groups, strict=True)])
    strata = {subject: f"{groups[subject]}/{labels[subject]}" for subject in groups}
    held_out = _systematic(strata, fraction=fraction, seed=seed)
    mask = np.array([str(subject) in held_out for subject in faces.subjects], dtype=np.bool_)
    return ~mask, mask


def _systematic(strata: Mapping[str, str], *, fraction: float, seed: int) -> set[str]:
    """Return about ``fraction`` of the subjects in *strata* (subject -> stratum), at least one and never all."""
    if len(strata) < 2:
        raise DataError(
            f"cannot split {len(strata)} subject(s) into two parts: at least two are needed; "
            "add data, or a subject_pattern that tells people apart"
        )
    ordered = sorted(strata, key=lambda subject: (strata[subject], _hash(seed, subject)))
    steps = np.floor(np.arange(len(ordered) + 1) * fraction + 0.5 * (1 - fraction))
    taken = {subject for subject, step in zip(ordered, np.diff(steps), strict=True) if step > 0}
    if not taken:
        return {ordered[len(ordered) // 2]}
    return taken - {ordered[0]} if len(taken) == len(ordered) else taken


def _hash(seed: int, subject: str) -> bytes:
    return hashlib.sha256(f"{seed}:{subject}".encode()).digest()


def _lowest(subjects: Sequence[str] | NDArray[np.str_], values: Sequence[str] | NDArray[np.str_]) -> dict[str, str]:
    """Map each subject to the alphabetically first of its *values*, so that the order of images does not matter."""
    lowest: dict[str, str] = {}
    for subject, value in zip(subjects, values, strict=True):
        key, text = str(subject), str(value)
        lowest[key] = min(text, lowest.get(key, text))
    return lowest


def _most_frequent(subjects: NDArray[np.str_], labels: NDArray[np.int64]) -> dict[str, int]:
    counts = Counter(zip(subjects.tolist(), labels.tolist(), strict=True))
    best: dict[str, tuple[int, int]] = {}
    for (subject, label), count in counts.items():
        best[subject] = max(best.get(subject, (0, 0)), (count, -label))
    return {subject: -label for subject, (_, label) in best.items()}

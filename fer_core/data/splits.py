"""Splits by subject: nobody is ever on both sides. Pure functions of subject ids, never of the order of files.

All splits are systematic samples: subjects are sorted by stratum and, within it, by a hash of seed and id;
then every k-th is taken. Each stratum, and the whole, is thereby split within one subject of its share.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_core.data.faces import FaceSet
from fer_core.errors import DataError
from fer_core.labels import EXPRESSIONS, Expression
from fer_core.specs import Spec

type Mask = NDArray[np.bool_]


class Part(Spec):
    """One side of a split: how many images, of each class how many, and whose."""

    images: int
    by_class: dict[Expression, int]
    subjects: tuple[str, ...]


class Split(Spec):
    """A split as it was made: of which faces, how, and who is where. Its digest is its name."""

    kind: str
    faces: str
    seed: int
    parts: dict[str, Part]

    @property
    def digest(self) -> str:
        """SHA-256 of all that it says, in hex."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def split_of(kind: str, faces: FaceSet, parts: Mapping[str, Mask], seed: int = 0) -> Split:
    """Return the record of a split of *faces* into *parts*, bool masks (n,)."""
    return Split(kind=kind, faces=faces.digest, seed=seed, parts={name: _part(faces, m) for name, m in parts.items()})


def store_split(split: Split, cache: Path) -> Path:
    """Write *split* to ``splits/<digest>.json`` in *cache*, if it is not there, and return the path.

    Raises:
        DataError: the file cannot be written.
    """
    path = cache / "splits" / f"{split.digest[:32]}.json"
    if not path.is_file():
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(split.model_dump_json(indent=1) + "\n", encoding="utf-8", errors="backslashreplace")
            temporary.replace(path)
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def _part(faces: FaceSet, mask: Mask) -> Part:
    counts = np.bincount(faces.labels[mask], minlength=len(EXPRESSIONS)).tolist()
    subjects = tuple(sorted(set(faces.subjects[mask].tolist())))
    return Part(images=int(mask.sum()), by_class=dict(zip(EXPRESSIONS, counts, strict=True)), subjects=subjects)


def halves(
    subjects: Sequence[str] | NDArray[np.str_],
    groups: Sequence[str] | NDArray[np.str_],
    seed: int = 0,
    *,
    labels: NDArray[np.int64] | None = None,
) -> tuple[Mask, Mask]:
    """Split images into a search half and a report half, by subject, stratified by group and, with *labels*, class.

    All have one entry per image. Returns two complementary bool masks (n,). In each group, and overall, the halves
    differ by at most one subject; so they do, with *labels*, among the subjects of a group that show the same classes.

    Raises:
        DataError: fewer than two subjects.
    """
    strata = _lowest(subjects, groups)
    if labels is not None:
        shown = _shown(subjects, labels)
        strata = {subject: f"{group}\0{shown[subject]:03d}" for subject, group in strata.items()}
    report = _systematic(strata, fraction=0.5, seed=seed)
    mask = np.array([str(subject) in report for subject in subjects], dtype=np.bool_)
    return ~mask, mask


def validation_split(faces: FaceSet, fraction: float = 0.15, seed: int = 0) -> tuple[Mask, Mask]:
    """Split *faces* into training and validation images: by subject, or as the set says where it knows no subjects.

    Images without a subject, of a set that has an official training and an official validation part, stay where the set
    puts them. The others are split by subject, stratified by population, group and the subject's most frequent class:
    where every image is its own subject, this is a split stratified by class. Returns two complementary bool masks
    (n,), neither empty.

    Raises:
        DataError: fewer than two subjects.
    """
    official = _official(faces)
    mask = official & (faces.splits == "validation")
    rest = faces.take(~official)
    if len(set(rest.subjects.tolist())) < 2 and mask.any():
        return ~mask, mask
    labels = _most_frequent(rest.subjects, rest.labels)
    groups = _lowest(rest.subjects, [f"{p}/{g}" for p, g in zip(rest.populations, rest.groups, strict=True)])
    strata = {subject: f"{groups[subject]}/{labels[subject]}" for subject in groups}
    held_out = _systematic(strata, fraction=fraction, seed=seed)
    mask |= ~official & np.array([str(subject) in held_out for subject in faces.subjects], dtype=np.bool_)
    return ~mask, mask


def _official(faces: FaceSet) -> Mask:
    """Tell which images nobody is known on, of a source whose official parts include training and validation."""
    sources = np.array([_source(str(subject)) for subject in faces.subjects], dtype=np.str_)
    both = [
        source
        for source in set(sources.tolist()) - {""}
        if {"train", "validation"} <= set(faces.splits[sources == source].tolist())
    ]
    return np.asarray(np.isin(sources, both) & (faces.splits != ""), dtype=np.bool_)


def _source(subject: str) -> str:
    """Return the number of the source of an image that is its own subject (``3:/path``), ``""`` for a person."""
    number, slash, _ = subject.partition(":/")
    return number if slash and number.isdigit() else ""


def _shown(subjects: Sequence[str] | NDArray[np.str_], labels: NDArray[np.int64]) -> dict[str, int]:
    """Map each subject to the set of classes it shows, one bit a class."""
    shown: dict[str, int] = {}
    for subject, label in zip(subjects, labels.tolist(), strict=True):
        shown[str(subject)] = shown.get(str(subject), 0) | 1 << label
    return shown


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

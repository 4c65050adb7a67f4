"""What a face set is, as values: examples that an adapter lists, and images that a loader decoded. NumPy only."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_core.data.pixels import Images, selected
from fer_core.errors import ConfigError
from fer_core.labels import EXPRESSIONS, Expression

POPULATIONS = ("children", "adults")


@dataclass(frozen=True, slots=True)
class Example:
    """One image on disk and what its name and its set's tables say about it.

    ``""`` and ``None`` mean unknown. ``population`` is ``"children"``, ``"adults"`` or ``""``, ``sex`` is
    ``"F"``, ``"M"`` or ``""``, ``age`` is in years (the middle where a set tells a range), ``split`` is the official
    one: ``"train"``, ``"validation"``, ``"test"`` or ``""``.

    ``box`` is the face in pixels of the image as stored: left, top, right, bottom. ``frame`` is the number, from 0, of
    the image inside the file at ``path``: the data row of a table that holds pixels (FER2013's csv), or the frame of a
    video, which is then the one shown at ``frame / rate`` seconds. ``None``: the file is one image.
    """

    path: Path
    expression: Expression
    subject: str = ""
    group: str = ""
    population: str = ""
    sex: str = ""
    mouth_open: bool | None = None
    age: float | None = None
    split: str = ""
    box: tuple[float, float, float, float] | None = None
    frame: int | None = None
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file, folder or line of a table (``<path>:<line>``) that cannot be used, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """Readable images that a set labels with something outside the seven classes: how many, and the first few."""

    label: str
    count: int
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An image that was left out because it shows what another one shows already.

    ``exact``: the same bytes and the same box; otherwise the two look alike. ``original`` is the image that was kept;
    ``leaked``: that one belongs to the faces that judge. ``conflicting``: the two have different labels.
    """

    path: str
    original: str
    exact: bool
    conflicting: bool
    leaked: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """What an adapter found in a folder, in the order of the sorted paths.

    ``notes`` are sentences for the user: an assumption that the adapter made, or a count that differs from the
    published one.
    """

    examples: tuple[Example, ...]
    skipped: tuple[Skipped, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FaceSet:
    """Decoded faces: one row per image in every array.

    ``images`` reads like an array uint8 (n, size, size, 3) in RGB, usually out of memory maps. ``labels`` is int64
    (n,) with indices into ``fer_core.labels.EXPRESSIONS``; ``subjects``, ``groups`` and ``populations`` are
    string arrays (n,) where ``""`` is an unknown group or population. An image whose subject is unknown is
    a subject of its own, so subject-wise statistics become image-wise ones. ``mouth_open`` is int8 (n,): 1, 0, or -1
    for unknown. ``ages`` is float64 (n,) in years, NaN for unknown, ``splits`` a string array (n,) of official splits,
    ``""`` for none. ``digest`` identifies pixels and annotations (hex SHA-256). ``synthetic`` is true as soon as one
    image comes from a rendered set. ``skipped`` lists what could not be used, ``duplicates`` what was left out because
    another image shows it.
    """

    images: Images
    labels: NDArray[np.int64]
    subjects: NDArray[np.str_]
    groups: NDArray[np.str_]
    populations: NDArray[np.str_]
    mouth_open: NDArray[np.int8]
    digest: str
    synthetic: bool = False
    skipped: tuple[Skipped, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()
    ages: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    splits: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, dtype=np.str_))

    def __post_init__(self) -> None:
        unknown = {"ages": np.full(len(self.labels), np.nan), "splits": np.full(len(self.labels), "")}
        for name, column in unknown.items():
            if len(getattr(self, name)) == 0:
                object.__setattr__(self, name, column)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> int:
        """The side of the square images in pixels."""
        return int(self.images.shape[1])

    @cached_property
    def class_counts(self) -> NDArray[np.int64]:
        """Images per class, int64 (7,), in the order of ``EXPRESSIONS``."""
        return np.bincount(self.labels, minlength=len(EXPRESSIONS))

    def take(self, rows: NDArray[Any]) -> "FaceSet":
        """Return the images at *rows* (indices, or a boolean mask of length n) as a set of their own.

        No image is read as long as they lie in :class:`fer_core.data.pixels.Pixels`. The digest of the result follows
        from this set's digest and the rows.
        """
        index = np.flatnonzero(rows) if rows.dtype == np.bool_ else np.asarray(rows, dtype=np.int64)
        if len(index) == len(self) and np.array_equal(index, np.arange(len(self))):
            return self
        digest = hashlib.sha256(self.digest.encode() + index.astype("<i8").tobytes()).hexdigest()
        columns = ("labels", "subjects", "groups", "populations", "mouth_open", "ages", "splits")
        taken = {name: getattr(self, name)[index] for name in columns}
        return replace(self, images=selected(self.images, index), digest=digest, **taken)

    def of_population(self, population: str) -> "FaceSet":
        """Return the images of ``"children"`` or ``"adults"``; ``"all"`` returns every image, known or not.

        Raises:
            ConfigError: *population* is another word, or the set shows nobody of it.
        """
        if population == "all":
            return self
        if population not in POPULATIONS:
            raise ConfigError(f"population {population!r} is unknown: use 'children', 'adults' or 'all'")
        mask = self.populations == population
        if not mask.any():
            raise ConfigError(
                f"the training data show no {population}: set population = {population!r} on a source that does"
            )
        return self.take(mask)

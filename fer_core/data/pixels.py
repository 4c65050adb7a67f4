"""Images that lie in several memory-mapped shards, seen as one array. NumPy only.

A selection of rows is kept as indices: taking 85 % of a set copies nothing, and a batch is gathered in one pass.
"""

from collections.abc import Sequence
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Images(Protocol):
    """What a face set needs of its images: an array uint8 (n, side, side, 3), or something that reads like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, side, side, 3)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> NDArray[np.uint8]: ...  # noqa: ANN401  whatever indexes rows


class Pixels:
    """Rows of *shards*, arrays uint8 (m, side, side, 3), in the order of *rows* (default: all, shard after shard).

    Indexing by a number gives one image as a view, by anything else (a slice, indices, a boolean mask) a new array;
    a slice inside one shard stays a view.
    """

    def __init__(self, shards: Sequence[NDArray[np.uint8]], rows: NDArray[np.int64] | None = None) -> None:
        self._shards = tuple(shards)
        self._starts = np.cumsum([0, *map(len, self._shards)])
        self._rows = np.arange(self._starts[-1]) if rows is None else rows

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, side, side, 3)."""
        return (len(self._rows), *self._shards[0].shape[1:])

    @property
    def nbytes(self) -> int:
        """Bytes of all images seen through this object."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def take(self, rows: slice) -> "Pixels": ...
    @overload
    def take(self, rows: NDArray[Any]) -> "Pixels": ...
    def take(self, rows: slice | NDArray[Any]) -> "Pixels":
        """Return the images at *rows* without reading one."""
        return Pixels(self._shards, self._rows[rows])

    def __getitem__(self, rows: Any, /) -> NDArray[np.uint8]:  # noqa: ANN401  whatever indexes rows
        wanted = self._rows[rows]
        shards = np.searchsorted(self._starts, wanted, side="right") - 1
        if np.ndim(wanted) == 0:
            one: NDArray[np.uint8] = self._shards[shards][wanted - self._starts[shards]]
            return one
        places = wanted - self._starts[shards]
        if len(wanted) and isinstance(rows, slice) and shards[0] == shards[-1] and _consecutive(places):
            view: NDArray[np.uint8] = self._shards[shards[0]][places[0] : places[-1] + 1]
            return view
        gathered = np.empty((len(wanted), *self.shape[1:]), dtype=np.uint8)
        for index, (shard, place) in enumerate(zip(shards.tolist(), places.tolist(), strict=True)):
            gathered[index] = self._shards[shard][place]
        return gathered

    def __array__(self, dtype: DTypeLike = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self[:], dtype=dtype, copy=copy)


def _consecutive(rows: NDArray[np.int64]) -> bool:
    return bool(rows[-1] - rows[0] == len(rows) - 1 and np.all(np.diff(rows) == 1))


def joined(parts: Sequence[Pixels]) -> Pixels:
    """Return *parts*, all of one side, one behind the other."""
    shards = [shard for part in parts for shard in part._shards]  # noqa: SLF001  its own kind
    offsets = np.cumsum([0, *(part._starts[-1] for part in parts)])  # noqa: SLF001
    rows = [part._rows + offset for part, offset in zip(parts, offsets, strict=False)]  # noqa: SLF001
    return Pixels(shards, np.concatenate(rows))


def selected(images: Images, rows: slice | NDArray[Any]) -> Images:
    """Return the images at *rows*: of :class:`Pixels` without reading one, of an array as NumPy does."""
    return images.take(rows) if isinstance(images, Pixels) else images[rows]

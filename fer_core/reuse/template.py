"""A .tflite file as a form to be filled in with weights: what is built once per graph serves all its networks.

The form is made from a file that was converted with numbered weights (``fer_core.reuse.numbering``): each of its
constants is weights, found by their numbers, or belongs to the graph.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fer_core.reuse.constants import Constant
from fer_core.reuse.numbering import Weights, number_of

_INT8_LEVELS = 127


@dataclass(frozen=True, slots=True)
class _Place:
    """A constant and the number of the weight in each of its cells."""

    constant: Constant
    numbers: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Template:
    """The bytes of a .tflite and the places of the weights in it."""

    content: bytes
    places: tuple[_Place, ...]

    @classmethod
    def of(
        cls, content: bytes, constants: Sequence[Constant], numbered: Weights, known: Self | None = None
    ) -> Self | None:
        """Return the template of *content*, a file with the weights *numbered*; ``None`` where it is none.

        *known*, a float32 template of the same graph, tells by role which weights are in tensors that were quantized.
        It is no template unless every weight has a place and filling it with *numbered* gives the file itself.
        """
        roles = {place.constant.role: place.numbers for place in known.places} if known else {}
        places = tuple(place for each in constants if (place := _placed(content, each, numbered, roles)))
        template = cls(content, places)
        placed = np.zeros(len(numbered), dtype=np.bool_)
        for place in places:
            placed[place.numbers.ravel()] = True
        return template if placed.all() and template.filled(numbered) == content else None

    def filled(self, weights: Weights) -> bytes:
        """Return the file with *weights* in their places."""
        content = bytearray(self.content)
        for place in self.places:
            for start, values in _cells(place, weights[place.numbers]):
                content[start : start + values.nbytes] = values.tobytes()
        return bytes(content)


def _placed(
    content: bytes, constant: Constant, numbered: Weights, roles: Mapping[str, NDArray[np.int32]]
) -> _Place | None:
    """Return *constant* with the numbers of its weights, ``None`` where its values belong to the graph."""
    if constant.dtype != np.float32:
        found = roles.get(constant.role)
        return _Place(constant, found) if found is not None and found.shape == constant.shape else None
    values = np.frombuffer(content, np.float32, int(np.prod(constant.shape)), constant.start)
    numbers = number_of(values)
    if values.size < 2 or numbers.min() < 0 or numbers.max() >= len(numbered):
        return None
    if not np.array_equal(numbered[numbers], values) or len(np.unique(numbers)) < len(numbers):
        return None
    return _Place(constant, numbers.astype(np.int32).reshape(constant.shape))


def _cells(place: _Place, values: NDArray[np.float32]) -> list[tuple[int, NDArray[np.generic]]]:
    """Return what to write for *values* in *place*, and where in the file: the tensor, for int8 its scales too.

    int8 as TensorFlow's converter rounds: scales in double precision, halves away from zero. ``Template.of`` checks it.
    """
    constant = place.constant
    if constant.dtype != np.int8:
        return [(constant.start, values.astype(constant.dtype))]
    others = tuple(axis for axis in range(values.ndim) if constant.scales == 1 or axis != constant.axis)
    largest = np.abs(values).max(axis=others, keepdims=True).astype(np.float64)
    scales = np.where(largest > 0, largest / _INT8_LEVELS, 1.0)
    levels = values / scales
    whole = np.sign(levels) * np.floor(np.abs(levels) + 0.5)
    return [(constant.start, whole.astype(np.int8)), (constant.scales_start, scales.astype(np.float32).ravel())]

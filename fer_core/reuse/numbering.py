"""An ONNX graph taken apart: its skeleton, which new weights may reuse, and the weights.

To learn where a converter puts each weight, it is given the skeleton filled with ``numbers``: float32 values, each with
its own number in its mantissa. Where they are in the file that comes out, there the weights belong, whatever was
transposed, renamed or reordered on the way (``fer_core.reuse.template``).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

_MANTISSA_BITS = 23
_ONE = 127  # the exponent field of a float32 in [1, 2)
CAPACITY = 2**_MANTISSA_BITS - 1
"""How many weights can be told apart; a graph with more is built anew for every network."""

Weights = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Parts:
    """An ONNX graph: its *skeleton*, without the values of its weights, and these, one after another, (n,)."""

    skeleton: bytes
    weights: Weights
    shapes: tuple[tuple[int, ...], ...]

    @property
    def digest(self) -> str:
        """The same for two graphs that differ in the values of their weights alone."""
        return hashlib.sha256(self.skeleton).hexdigest()


def take_apart(graph: bytes) -> Parts:
    """Return the parts of the serialised ONNX *graph*.

    Weights are the initializers of more than one float32. Single numbers (an epsilon, a limit of a clip) belong to the
    skeleton: converters look at them.
    """
    model = onnx.load_from_string(graph)
    weights, shapes = [np.empty(0, dtype=np.float32)], []
    for initializer in _weights_in(model):
        weights.append(numpy_helper.to_array(initializer).ravel())
        shapes.append(tuple(initializer.dims))
        initializer.ClearField("raw_data")
        initializer.ClearField("float_data")
    return Parts(model.SerializeToString(deterministic=True), np.concatenate(weights), tuple(shapes))


def put_together(parts: Parts, weights: Weights) -> bytes:
    """Return the ONNX graph of the skeleton in *parts* with other *weights*, serialised."""
    model = onnx.load_from_string(parts.skeleton)
    start = 0
    for initializer in _weights_in(model):
        size = int(np.prod(initializer.dims))
        initializer.raw_data = weights[start : start + size].tobytes()
        start += size
    return bytes(model.SerializeToString())


def _weights_in(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    return [
        initializer
        for initializer in model.graph.initializer
        if initializer.data_type == onnx.TensorProto.FLOAT and np.prod(initializer.dims) > 1
    ]


def numbers(shapes: Sequence[tuple[int, ...]]) -> Weights:
    """Return one float32 per weight of tensors of these *shapes*, (n,), with the number of the weight in its mantissa.

    Weight i has the mantissa i + 1. Its sign is random, its exponent such that activations neither grow nor vanish
    from layer to layer (the scale of He et al., https://arxiv.org/abs/1502.01852), so that what converters and
    calibration compute with it stays finite.

    Raises:
        ValueError: there are more than ``CAPACITY`` weights.
    """
    sizes = [int(np.prod(shape)) for shape in shapes]
    if sum(sizes) > CAPACITY:
        raise ValueError(f"{sum(sizes):,} weights; {CAPACITY:,} can be numbered")
    exponents = np.repeat(np.array([_exponent(shape) for shape in shapes], dtype=np.uint32), sizes)
    signs = np.random.default_rng(0).integers(0, 2, sum(sizes), dtype=np.uint32)
    mantissas = np.arange(1, sum(sizes) + 1, dtype=np.uint32)
    return (signs << 31 | exponents << _MANTISSA_BITS | mantissas).view(np.float32)


def _exponent(shape: tuple[int, ...]) -> int:
    """Return the exponent field of the weights of a tensor; values are 1 to 2 times the power of two that it means."""
    inputs = np.prod(shape[1:]) if len(shape) > 1 else 64.0  # a bias: small
    return _ONE + round(float(np.log2(np.sqrt(2.0 / inputs) / 1.4)))


def number_of(values: Weights) -> NDArray[np.int64]:
    """Return the number that each of *values* carries: meaningless for values that are not ``numbers``."""
    return (values.view(np.uint32) & np.uint32(CAPACITY)).astype(np.int64) - 1

"""The constants of a .tflite file: which operator reads them, and where their bytes are."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert.schema_py_generated import BuiltinOperator, Model, TensorType

_NUMPY_TYPES = {TensorType.FLOAT32: np.float32, TensorType.FLOAT16: np.float16, TensorType.INT8: np.int8}


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant tensor of a .tflite: where in the file its values start, and for int8 its float32 scales.

    ``role`` says which operator reads it, and as which input: the same in files of the same graph. ``scales`` counts
    one per slice along ``axis``, or a single one.
    """

    role: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int
    scales_start: int = 0
    scales: int = 0
    axis: int = 0


def constants_of(content: bytes) -> Iterator[Constant]:
    """Yield the constants of float32, float16 and int8 that operators of the .tflite *content* read."""
    model = Model.GetRootAs(content, 0)
    base = np.frombuffer(content, np.uint8).ctypes.data
    for index, role in _roles(model).items():
        tensor = model.Subgraphs(0).Tensors(index)
        values = model.Buffers(tensor.Buffer()).DataAsNumpy()
        if tensor.Type() not in _NUMPY_TYPES or not isinstance(values, np.ndarray):
            continue
        quantization = tensor.Quantization()
        scales: Any = quantization.ScaleAsNumpy() if quantization else 0  # 0: flatbuffers' answer for none
        scaled = isinstance(scales, np.ndarray)
        yield Constant(
            role=role,
            shape=tuple(tensor.Shape(axis) for axis in range(tensor.ShapeLength())),
            dtype=np.dtype(_NUMPY_TYPES[tensor.Type()]),
            start=values.ctypes.data - base,
            scales_start=scales.ctypes.data - base if scaled else 0,
            scales=len(scales) if scaled else 0,
            axis=quantization.QuantizedDimension() if scaled else 0,
        )


def _roles(model: Any) -> dict[int, str]:  # noqa: ANN401 - a generated flatbuffer class
    """Return for each tensor of *model* that is read which operator reads it first, and as which of its inputs.

    DEQUANTIZE, which float16 files have before each weight, is looked through: roles are those of the float32 file.
    """
    roles: dict[int, str] = {}
    stored: dict[int, int] = {}
    subgraph = model.Subgraphs(0)
    ordinal = 0
    for number in range(subgraph.OperatorsLength()):
        operator = subgraph.Operators(number)
        code = model.OperatorCodes(operator.OpcodeIndex())
        inputs = [operator.Inputs(slot) for slot in range(operator.InputsLength())]
        if max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) == BuiltinOperator.DEQUANTIZE:
            stored[operator.Outputs(0)] = inputs[0]
            continue
        for slot, index in enumerate(inputs):
            if index >= 0:  # -1: an input that is left out
                roles.setdefault(stored.get(index, index), f"{ordinal}:{slot}")
        ordinal += 1
    return roles

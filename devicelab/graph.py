"""From a .tflite to what a processor has to do: operators with their work, and a fingerprint.

**What runs.** Operators are counted as LiteRT's CPU backend runs them. Three assumptions:

* float16 weights are made float32 once, at load: a DEQUANTIZE of a constant costs nothing per
  inference, and the operator behind it is an ordinary float32 one.
* Dynamic-range int8 (int8 weights, float32 activations) runs convolutions and dense layers with
  integer kernels that first quantize their input (one pass over it); depthwise convolutions have no
  such kernel, so their weights are made float32 at load.
* RESHAPE, SQUEEZE and EXPAND_DIMS are views and cost nothing.

**The fingerprint** is a SHA-256 over what decides the latency: operator codes, all their options,
element types, shapes, and who reads whose output. Weights, scales, zero points, names, versions
and the order in which independent operators are written do not enter. Constants enter by type and shape
at the place where they are read, because converters store equal constants once or twice as they please; only integer
constants that are parameters (axes, paddings, shapes) enter by value. A constant bias does not enter at all:
converters drop one that is all zeros, as before training, and no kernel is faster without. An open batch counts as 1.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from devicelab.errors import WorkloadError
from devicelab.flatfile import FileGraph, FileOperator, FileTensor, read_file
from devicelab.operators import Arithmetic, Graph, Kind, Operator, TensorType

_WEIGHTED = {"CONV_2D": 4, "DEPTHWISE_CONV_2D": 4, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 4}
"""Operators with weights as their second input, and the rank of those weights."""
_VIEWS = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS"}
_POOLS = {"AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D", "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"}
_MOVEMENTS = {
    *("PAD", "PADV2", "MIRROR_PAD", "CONCATENATION", "SPLIT", "SPLIT_V", "SLICE", "STRIDED_SLICE", "TRANSPOSE"),
    *("GATHER", "GATHER_ND", "PACK", "UNPACK", "TILE", "BROADCAST_TO", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE"),
    *("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "REVERSE_V2", "FILL"),
}
_PARAMETER_TYPES = {"INT32", "INT64", "BOOL"}
_INTEGER_TYPES = {"INT4", "INT8", "UINT8", "INT16"}


def read_graph(path: Path) -> Graph:
    """Read the .tflite at *path*: its operators, inputs and outputs, fingerprint and size in bytes.

    Raises:
        WorkloadError: the file is missing, truncated, or no .tflite that a phone here can run.
    """
    file = read_file(path)
    try:
        return graph_of(file)
    except WorkloadError as error:
        raise WorkloadError(f"{path}: {error}") from None


def graph_of(file: FileGraph) -> Graph:
    """Return the graph that the tables of *file* describe.

    Raises:
        WorkloadError: an operator reads what nobody wrote, or its weights have an impossible shape.
    """
    file = _with_constants_unpacked(file)
    return Graph(
        operators=tuple(_operator(entry, file.tensors) for entry in file.operators if entry.code not in _VIEWS),
        inputs=tuple(_type_of(file.tensors[index]) for index in file.inputs),
        outputs=tuple(_type_of(file.tensors[index]) for index in file.outputs),
        fingerprint=_fingerprint(file),
        size=file.size,
    )


def _type_of(tensor: FileTensor) -> TensorType:
    return TensorType(tensor.dtype, tensor.shape)


def _with_constants_unpacked(file: FileGraph) -> FileGraph:
    """Drop each DEQUANTIZE of a constant and make its output a constant: that is what happens at load."""
    tensors = list(file.tensors)
    operators = []
    for operator in file.operators:
        if operator.code == "DEQUANTIZE" and len(operator.inputs) == len(operator.outputs) == 1:
            packed, unpacked = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
            if packed.data is not None:
                tensors[operator.outputs[0]] = replace(unpacked, data=packed.data, packed=packed.dtype)
                continue
        operators.append(operator)
    return FileGraph(tuple(tensors), tuple(operators), file.inputs, file.outputs, file.size)


def _operator(operator: FileOperator, tensors: tuple[FileTensor, ...]) -> Operator:
    read = [tensors[index] for index in operator.inputs if index >= 0]
    written = [tensors[index] for index in operator.outputs]
    traffic = sum(tensor.size for tensor in read if tensor.data is None)
    constants = sum(tensor.size for tensor in read if tensor.data is not None)
    results = sum(tensor.size for tensor in written)
    if operator.code in _WEIGHTED:
        return _weighted(operator, tensors, traffic, constants)
    if operator.code == "BATCH_MATMUL":
        macs = written[0].elements * (read[0].shape[-1] if read and read[0].shape else 1) if written else 0
        return Operator(operator.code, "pointwise", macs, traffic, results, constants, _arithmetic(read))
    kind: Kind = "pool" if operator.code in _POOLS else "movement" if operator.code in _MOVEMENTS else "elementwise"
    return Operator(operator.code, kind, 0, traffic, results, constants, _arithmetic(read))


def _arithmetic(read: list[FileTensor]) -> Arithmetic:
    return "integer" if read and read[0].dtype in _INTEGER_TYPES else "float"


def _weighted(operator: FileOperator, tensors: tuple[FileTensor, ...], traffic: int, constants: int) -> Operator:
    """Return a convolution or dense layer with its multiply-accumulates; see the module for the numbers it uses."""
    source, weights, result = _operands(operator, tensors)
    options = dict(operator.options)
    kernel = weights.shape[1:3] if len(weights.shape) == 4 else (0, 0)
    match operator.code:
        case "DEPTHWISE_CONV_2D":
            macs = result.elements * kernel[0] * kernel[1]
        case "TRANSPOSE_CONV":
            macs = source.elements * weights.elements // max(weights.shape[-1], 1)
        case _:  # each output element is the product of one filter with what it covers
            macs = result.elements * weights.elements // max(weights.shape[0], 1)
    kind = _kind(operator.code, kernel, result)
    hybrid = source.dtype == "FLOAT32" and weights.dtype in _INTEGER_TYPES
    if hybrid and kind == "depthwise":
        constants += weights.elements * 4 - weights.size
    elif hybrid:
        traffic += 2 * source.elements  # its int8 copy, written and read
    integer = weights.dtype in _INTEGER_TYPES and not (hybrid and kind == "depthwise")
    return Operator(
        code=operator.code,
        kind=kind,
        macs=macs,
        input_bytes=traffic,
        output_bytes=result.size,
        weight_bytes=constants,
        arithmetic="integer" if integer else "float",
        kernel=(kernel[0], kernel[1]),
        stride=(_option(options, "StrideH"), _option(options, "StrideW")),
    )


def _operands(operator: FileOperator, tensors: tuple[FileTensor, ...]) -> tuple[FileTensor, FileTensor, FileTensor]:
    """Return the activations, weights and result of a weighted operator."""
    place = 2 if operator.code == "TRANSPOSE_CONV" else 0
    if len(operator.inputs) <= max(place, 1) or len(operator.outputs) != 1 or min(operator.inputs[: place + 1]) < 0:
        raise WorkloadError(f"damaged .tflite: {operator.code} without input, weights or output")
    source, weights = tensors[operator.inputs[place]], tensors[operator.inputs[1]]
    if len(weights.shape) != _WEIGHTED[operator.code]:
        raise WorkloadError(f"damaged .tflite: {operator.code} with weights of shape {list(weights.shape)}")
    return source, weights, tensors[operator.outputs[0]]


def _kind(code: str, kernel: tuple[int, ...], result: FileTensor) -> Kind:
    if code == "DEPTHWISE_CONV_2D":
        return "depthwise"
    if code == "TRANSPOSE_CONV" or kernel[0] * kernel[1] > 1:
        return "convolution"
    positions = result.elements // max(result.shape[-1], 1) if result.shape else 1
    return "dense" if positions == 1 else "pointwise"


def _option(options: Mapping[str, object], name: str) -> int:
    found = (value for key, value in options.items() if key.endswith(f".{name}") and isinstance(value, int))
    return next(found, 0)


def _fingerprint(file: FileGraph) -> str:
    """Hash each operator over the hashes of those it reads from; the sorted hashes are the graph."""
    written: dict[int, object] = {
        index: ["input", place, file.tensors[index].dtype, file.tensors[index].shape]
        for place, index in enumerate(file.inputs)
    }
    hashes = []
    for operator in file.operators:
        places = [place for place in range(len(operator.inputs)) if not _is_bias(operator, place, file.tensors)]
        operands = [_operand(operator, place, file.tensors, written) for place in places]
        types = [(file.tensors[index].dtype, file.tensors[index].shape) for index in operator.outputs]
        digest = _sha256([operator.code, operator.options, operands, types])
        hashes.append(digest)
        written.update({index: [digest, place] for place, index in enumerate(operator.outputs)})
    ends = [written.get(index, "constant") for index in file.outputs]
    return _sha256([[written[index] for index in file.inputs], sorted(hashes), ends])


def _is_bias(operator: FileOperator, place: int, tensors: tuple[FileTensor, ...]) -> bool:
    """Whether this input is a bias: constant, or left out because it was all zeros."""
    index = operator.inputs[place]
    is_last = place == (3 if operator.code == "TRANSPOSE_CONV" else 2)
    return operator.code in _WEIGHTED and is_last and (index < 0 or tensors[index].data is not None)


def _operand(operator: FileOperator, place: int, tensors: tuple[FileTensor, ...], written: dict[int, object]) -> object:
    index = operator.inputs[place]
    if index < 0:
        return "absent"
    if index in written:
        return written[index]
    tensor = tensors[index]
    if tensor.data is None and tensor.elements:
        raise WorkloadError(f"damaged .tflite: {operator.code} reads a tensor that nothing wrote")
    is_parameter = tensor.dtype in _PARAMETER_TYPES and (operator.code not in _WEIGHTED or place == 0)
    values = bytes(tensor.data).hex() if is_parameter and tensor.data is not None else ""
    return ["constant", tensor.dtype, tensor.packed, tensor.shape, values]


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode()).hexdigest()

"""Networks made by hand: .tflite files without TensorFlow."""

import math
from collections.abc import Mapping

import flatbuffers
import numpy as np
import tflite

NUMPY = {"FLOAT32": np.float32, "FLOAT16": np.float16, "INT8": np.int8, "INT32": np.int32}


class NetworkFile:
    """Writes a .tflite with tflite's builder functions; tensors are made in the order in which they are asked for."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.tensors: list[tuple[str, tuple[int, ...], bytes | None, str]] = []
        self.operators: list[tuple[str, list[int], list[int], str, Mapping[str, int]]] = []
        self.inputs: list[int] = []
        self.outputs: list[int] = []
        self.subgraphs = 1

    def tensor(self, shape, dtype="FLOAT32", *, data=None, name=""):
        self.tensors.append((dtype, tuple(shape), data, name))
        return len(self.tensors) - 1

    def weights(self, shape, dtype="FLOAT32"):
        values = self.rng.integers(-9, 9, size=shape).astype(NUMPY[dtype])
        return self.tensor(shape, dtype, data=values.tobytes(), name=f"weights{self.rng.integers(10**6)}")

    def parameters(self, values):
        return self.tensor((len(values),), "INT32", data=np.asarray(values, np.int32).tobytes())

    def image(self, side, channels=3, dtype="FLOAT32", batch=1):
        self.inputs.append(self.tensor((batch, side, side, channels), dtype))
        return self.inputs[-1]

    def operator(self, code, inputs, shape, dtype="FLOAT32", options="", **values):
        result = self.tensor(shape, dtype)
        self.operators.append((code, list(inputs), [result], options, values))
        return result

    def conv(self, source, filters, kernel=1, stride=1, *, weights="", unpack=False):
        dtype, (batch, side, _, channels), _, _ = self.tensors[source]
        size = (filters, kernel, kernel, channels)
        constant = self.weights(size, weights or dtype)
        if unpack:
            constant = self.operator("DEQUANTIZE", [constant], size)
        bias = self.weights((filters,), "INT32" if dtype == "INT8" else "FLOAT32")
        options = {"StrideW": stride, "StrideH": stride, "DilationWFactor": 1, "DilationHFactor": 1}
        shape = (batch, math.ceil(side / stride), math.ceil(side / stride), filters)
        return self.operator("CONV_2D", [source, constant, bias], shape, dtype, "Conv2DOptions", **options)

    def depthwise(self, source, kernel=3, stride=1, *, weights=""):
        dtype, (batch, side, _, channels), _, _ = self.tensors[source]
        constants = [self.weights((1, kernel, kernel, channels), weights or dtype), self.weights((channels,))]
        options = {"StrideW": stride, "StrideH": stride, "DepthMultiplier": 1}
        shape = (batch, math.ceil(side / stride), math.ceil(side / stride), channels)
        names = ("DEPTHWISE_CONV_2D", [source, *constants], shape, dtype, "DepthwiseConv2DOptions")
        return self.operator(*names, **options)

    def dense(self, source, units, *, weights=""):
        dtype, (batch, *_, width), _, _ = self.tensors[source]
        constants = [self.weights((units, width), weights or dtype), self.weights((units,))]
        names = ("FULLY_CONNECTED", [source, *constants], (batch, units), dtype, "FullyConnectedOptions")
        return self.operator(*names, FusedActivationFunction=0)

    def pool(self, source, axes=(1, 2)):
        dtype, (batch, _, _, channels), _, _ = self.tensors[source]
        return self.operator("MEAN", [source, self.parameters(axes)], (batch, channels), dtype, "ReducerOptions")

    def add(self, left, right):
        dtype, shape, _, _ = self.tensors[left]
        return self.operator("ADD", [left, right], shape, dtype, "AddOptions", FusedActivationFunction=0)

    def content(self, *outputs) -> bytes:
        self.outputs = list(outputs)
        builder = flatbuffers.Builder(1024)
        data = [b"", *(tensor[2] for tensor in self.tensors if tensor[2] is not None)]
        buffers = [_buffer(builder, one) for one in data]
        tensors, number = [], 0
        for tensor in self.tensors:
            number += tensor[2] is not None
            tensors.append(_tensor(builder, tensor, number if tensor[2] is not None else 0))
        names = sorted({operator[0] for operator in self.operators})
        codes = [_code(builder, name) for name in names]
        operators = [_operator(builder, operator, names) for operator in self.operators]
        parts = {
            "Tensors": _tables(builder, tensors),
            "Inputs": builder.CreateNumpyVector(np.asarray(self.inputs, np.int32)),
            "Outputs": builder.CreateNumpyVector(np.asarray(self.outputs, np.int32)),
            "Operators": _tables(builder, operators),
        }
        subgraph = _table(builder, "SubGraph", parts)
        parts = {
            "Version": 3,
            "OperatorCodes": _tables(builder, codes),
            "Subgraphs": _tables(builder, [subgraph] * self.subgraphs),
            "Buffers": _tables(builder, buffers),
        }
        builder.Finish(_table(builder, "Model", parts), file_identifier=b"TFL3")
        return bytes(builder.Output())


def _table(builder, kind: str, fields: Mapping[str, int]) -> int:
    getattr(tflite, f"{kind}Start")(builder)
    for name, value in fields.items():
        getattr(tflite, f"{kind}Add{name}")(builder, value)
    return getattr(tflite, f"{kind}End")(builder)


def _tables(builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _buffer(builder, data: bytes) -> int:
    return _table(builder, "Buffer", {"Data": builder.CreateByteVector(data)} if data else {})


def _tensor(builder, tensor, buffer: int) -> int:
    dtype, shape, _, name = tensor
    fields = {"Shape": builder.CreateNumpyVector(np.asarray(shape, np.int32)), "Name": builder.CreateString(name)}
    return _table(builder, "Tensor", {**fields, "Type": getattr(tflite.TensorType, dtype), "Buffer": buffer})


def _code(builder, name: str) -> int:
    number = getattr(tflite.BuiltinOperator, name)
    return _table(builder, "OperatorCode", {"DeprecatedBuiltinCode": min(number, 127), "BuiltinCode": number})


def _operator(builder, operator, names: list[str]) -> int:
    code, inputs, outputs, options, values = operator
    fields = {"OpcodeIndex": names.index(code)}
    fields["Inputs"] = builder.CreateNumpyVector(np.asarray(inputs, np.int32))
    fields["Outputs"] = builder.CreateNumpyVector(np.asarray(outputs, np.int32))
    if options:
        fields["BuiltinOptions"] = _table(builder, options, values)
        fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, options)
    return _table(builder, "Operator", fields)


def small_network(seed=0, side=32, filters=8, dtype="FLOAT32", **extra) -> bytes:
    """A network of every kind of layer; *extra* goes to the 1 x 1 convolution."""
    file = NetworkFile(seed)
    x = file.conv(file.image(side, dtype=dtype), filters, kernel=3, stride=2)
    x = file.depthwise(x)
    x = file.add(file.conv(x, filters, **extra), x)
    return file.content(file.dense(file.pool(x), 7))

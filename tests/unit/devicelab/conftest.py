"""Files and networks made by hand: .tflite files without TensorFlow, and the operator lists of seven known networks."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
import tflite

from devicelab.operators import Kind, Operator

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


@pytest.fixture(scope="session")
def network_file() -> type[NetworkFile]:
    return NetworkFile


@pytest.fixture(scope="session")
def small() -> Callable[..., bytes]:
    return small_network


@pytest.fixture
def model(tmp_path) -> Path:
    """A small readable .tflite."""
    path = tmp_path / "small.tflite"
    path.write_bytes(small_network())
    return path


class Layers:
    """The operators of a network at 224 px and 1000 classes, batch normalisation and ReLU fused away."""

    def __init__(self, item_bytes: int) -> None:
        self.item = item_bytes
        self.operators: list[Operator] = []
        self.h, self.c = 224, 3

    def add(self, kind: Kind, macs: int, read: int, written: int, weights: int) -> None:
        sizes = (read * self.item, written * self.item, weights * self.item)
        self.operators.append(Operator(kind, kind, macs, *sizes, "integer" if self.item == 1 else "float"))

    def conv(self, filters: int, kernel: int, stride: int = 1, *, depthwise: bool = False, keep: bool = False) -> None:
        out = math.ceil(self.h / stride)
        weights = filters * kernel * kernel * (1 if depthwise else self.c)
        kind: Kind = "depthwise" if depthwise else "pointwise" if kernel == 1 else "convolution"
        self.add(kind, out * out * weights, self.h * self.h * self.c, out * out * filters, weights)
        if not keep:
            self.h, self.c = out, filters

    def each(self, kind: Kind = "elementwise", count: int = 0) -> None:
        count = count or self.h * self.h * self.c
        self.add(kind, 0, count, count, 0)

    def dense(self, read: int, written: int) -> None:
        self.add("dense", read * written, read, written, read * written)

    def gate(self, squeezed: int) -> None:
        """Squeeze and excitation."""
        self.each("pool")
        self.dense(self.c, squeezed)
        self.dense(squeezed, self.c)
        self.each(count=self.c)
        self.each()

    def head(self, classes: int = 1000) -> None:
        self.each("pool")
        self.dense(self.c, classes)


def mobilenet_v1(net: Layers) -> None:
    net.conv(32, 3, 2)
    for filters, stride in [
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        *[(512, 1)] * 5,
        (1024, 2),
        (1024, 1),
    ]:
        net.conv(net.c, 3, stride, depthwise=True)
        net.conv(filters, 1)
    net.head()


def inverted_residual(net: Layers, kernel, expanded, filters, stride, *, squeezed=0, activation=False) -> None:
    h, c = net.h, net.c
    if expanded != c:
        net.conv(expanded, 1)
        if activation:
            net.each()
    net.conv(expanded, kernel, stride, depthwise=True)
    if activation:
        net.each()
    if squeezed:
        net.gate(squeezed)
    net.conv(filters, 1)
    if (h, c) == (net.h, net.c):
        net.each()


def mobilenet_v2(net: Layers) -> None:
    net.conv(32, 3, 2)
    stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for ratio, filters, repeats, stride in stages:
        for repeat in range(repeats):
            inverted_residual(net, 3, ratio * net.c, filters, stride if repeat == 0 else 1)
    net.conv(1280, 1)
    net.head()


LARGE = [(3, 16, 16, 0, 0, 1), (3, 64, 24, 0, 0, 2), (3, 72, 24, 0, 0, 1), (5, 72, 40, 1, 0, 2), (5, 120, 40, 1, 0, 1)]
LARGE += [
    (5, 120, 40, 1, 0, 1),
    (3, 240, 80, 0, 1, 2),
    (3, 200, 80, 0, 1, 1),
    (3, 184, 80, 0, 1, 1),
    (3, 184, 80, 0, 1, 1),
]
LARGE += [(3, 480, 112, 1, 1, 1), (3, 672, 112, 1, 1, 1), (5, 672, 160, 1, 1, 2), *[(5, 960, 160, 1, 1, 1)] * 2]
SMALL = [
    (3, 16, 16, 1, 0, 2),
    (3, 72, 24, 0, 0, 2),
    (3, 88, 24, 0, 0, 1),
    (5, 96, 40, 1, 1, 2),
    *[(5, 240, 40, 1, 1, 1)] * 2,
]
SMALL += [(5, 120, 48, 1, 1, 1), (5, 144, 48, 1, 1, 1), (5, 288, 96, 1, 1, 2), *[(5, 576, 96, 1, 1, 1)] * 2]


def mobilenet_v3(net: Layers, stages, last: int, hidden: int) -> None:
    net.conv(16, 3, 2)
    net.each()
    for kernel, expanded, filters, gated, swish, stride in stages:
        squeezed = max(8, int(expanded / 4 + 4) // 8 * 8)
        inverted_residual(net, kernel, expanded, filters, stride, squeezed=gated * squeezed, activation=bool(swish))
    net.conv(last, 1)
    net.each()
    net.each("pool")
    net.dense(last, hidden)
    net.each(count=hidden)
    net.dense(hidden, 1000)


def efficientnet_b0(net: Layers) -> None:
    net.conv(32, 3, 2)
    net.each()
    stages = [
        (1, 3, 16, 1, 1),
        (6, 3, 24, 2, 2),
        (6, 5, 40, 2, 2),
        (6, 3, 80, 3, 2),
        (6, 5, 112, 3, 1),
        (6, 5, 192, 4, 2),
    ]
    for ratio, kernel, filters, repeats, stride in [*stages, (6, 3, 320, 1, 1)]:
        for repeat in range(repeats):
            squeezed, first = max(1, net.c // 4), stride if repeat == 0 else 1
            inverted_residual(net, kernel, ratio * net.c, filters, first, squeezed=squeezed, activation=True)
    net.conv(1280, 1)
    net.each()
    net.head()


def resnet(net: Layers, stages, *, bottleneck: bool) -> None:
    net.conv(64, 7, 2)
    net.each("pool")
    net.h //= 2
    for repeats, width, stride in stages:
        for repeat in range(repeats):
            first, out = stride if repeat == 0 else 1, width * 4 if bottleneck else width
            if repeat == 0 and net.c != out:
                net.conv(out, 1, first, keep=True)
            if bottleneck:
                net.conv(width, 1)
            net.conv(width, 3, first)
            net.conv(out, 1 if bottleneck else 3)
            net.each()
    net.head()


RESNET = [(2, 64, 1), (2, 128, 2), (2, 256, 2), (2, 512, 2)]
NETWORKS: dict[str, Callable[[Layers], None]] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_large": lambda net: mobilenet_v3(net, LARGE, 960, 1280),
    "mobilenet_v3_small": lambda net: mobilenet_v3(net, SMALL, 576, 1024),
    "efficientnet_b0": efficientnet_b0,
    "resnet_18": lambda net: resnet(net, RESNET, bottleneck=False),
    "resnet_50": lambda net: resnet(net, [(3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2)], bottleneck=True),
}


@pytest.fixture(scope="session")
def operators_of() -> Callable[[str, str], list[Operator]]:
    def build(name: str, dtype: str = "float32") -> list[Operator]:
        net = Layers(4 if dtype == "float32" else 1)
        NETWORKS[name](net)
        return net.operators

    return build

"""Files and networks made by hand: .tflite files without TensorFlow, and the operator lists of seven known networks."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from contracts.networks import NetworkFile, small_network

from devicelab.operators import Kind, Operator


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

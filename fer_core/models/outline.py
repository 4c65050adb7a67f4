"""What a network computes, operator by operator, without weights and without an export: shapes on torch's meta device.

Milliseconds where an export takes seconds, and only nearly what the exported file does: converters fuse, split and add
operators as they please. Good for an estimate before a study, never for a measurement.
"""

import functools
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fer_core.models.build import build
from fer_core.specs import ArchitectureName, ArchitectureSpec

LayerKind = Literal["convolution", "pointwise", "depthwise", "dense", "elementwise", "pool", "movement"]

_PASSING: dict[str, tuple[LayerKind, int]] = {
    "add": ("elementwise", 1),
    "mul": ("elementwise", 1),
    "relu": ("elementwise", 1),
    "hardswish": ("elementwise", 1),
    "hardsigmoid": ("elementwise", 2),
    "sigmoid": ("elementwise", 1),
    "silu": ("elementwise", 2),
    "mean": ("pool", 1),
    "avg_pool2d": ("pool", 1),
    "max_pool2d_with_indices": ("pool", 1),
    "cat": ("movement", 1),
    "constant_pad_nd": ("movement", 1),
}
"""Operators of torch that only pass over their data, and as how many of TensorFlow Lite's they are exported. Others,
batch norms and ReLU6 for example, are folded into their neighbours."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator for one image: multiply-accumulates, and elements read, written and stored as parameters."""

    kind: LayerKind
    macs: int
    inputs: int
    outputs: int
    weights: int


@functools.lru_cache(maxsize=64)
def outline(architecture: ArchitectureName, input_size: int) -> tuple[Layer, ...]:
    """Return the operators of *architecture* for one image of *input_size* pixels a side, in their order."""
    model = build(ArchitectureSpec(name=architecture, input_size=input_size)).to("meta").eval()
    with torch.no_grad(), _Listener() as heard:
        model(torch.zeros(1, 3, input_size, input_size, device="meta"))
    return tuple(heard.layers)


class _Listener(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch leaves it untyped
    """Notes every operator that torch runs."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # the same
        self.layers: list[Layer] = []

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - torch's type is private
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the operator gives
        written = func(*args, **(kwargs or {}))
        name = func.name().removeprefix("aten::").split(".")[0].rstrip("_")
        if name == "convolution":
            self.layers.append(_convolution(args[0], args[1], written))
        elif name == "addmm":
            self.layers.append(Layer("dense", args[2].numel(), args[1].numel(), written.numel(), args[2].numel()))
        elif name in _PASSING:
            kind, count = _PASSING[name]
            first = written[0] if isinstance(written, tuple) else written
            self.layers += count * [Layer(kind, 0, _elements(args), first.numel(), 0)]
        return written


def _convolution(read: Tensor, weights: Tensor, written: Tensor) -> Layer:
    each = weights[0].numel()  # products per element of the result
    flat = written.shape[-1] * written.shape[-2] == 1
    kind: LayerKind = "convolution"
    if weights.shape[1] < read.shape[1]:
        kind = "depthwise"
    elif weights.shape[-1] * weights.shape[-2] == 1:
        kind = "dense" if flat else "pointwise"
    return Layer(kind, written.numel() * each, read.numel(), written.numel(), weights.numel())


def _elements(args: tuple[Any, ...]) -> int:
    """Return how many elements the tensors among *args* have, in lists too."""
    return sum(
        one.numel() if isinstance(one, Tensor) else _elements(tuple(one)) if isinstance(one, list) else 0
        for one in args
    )

"""Which tensor of a network is which weight of its ONNX graph: torch's export is needed once per graph.

That export takes seconds for a network of a thousand modules and says nothing new of new weights. It is done once, with
numbered weights (``fer_core.reuse.numbering``); where a tensor's numbers come out, there belong its values in every
network of the same modules. Numbers differ, so that no two tensors become one in ONNX because their values are equal.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from fer_core.reuse.numbering import CAPACITY, Parts, Weights, number_of, numbers, take_apart


@dataclass(frozen=True, slots=True)
class Outline:
    """The ONNX *skeleton* of a network and the *names*, in its state dict, of the tensors that are its weights."""

    skeleton: bytes
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, model: nn.Module, export: Callable[[nn.Module], bytes]) -> Self | None:
        """Return the outline of *model*, which *export* turns into a serialised ONNX graph.

        ``None`` where a weight in ONNX is not one tensor of *model* as it is.
        """
        tensors = _tensors(model)
        sizes = [tensor.numel() for tensor in tensors.values()]
        if not sizes or min(sizes) < 2 or sum(sizes) > CAPACITY:
            return None
        numbered = numbers([tuple(tensor.shape) for tensor in tensors.values()])
        parts = take_apart(export(_with(model, numbered)))
        starts = dict(zip(np.cumsum([0, *sizes]).tolist(), tensors, strict=False))
        found, position = [], 0
        for shape in parts.shapes:
            values = parts.weights[position : (position := position + int(np.prod(shape)))]
            start = int(number_of(values[:1])[0])
            name = starts.get(start)
            if name is None or tensors[name].shape != shape:
                return None
            if not np.array_equal(values, numbered[start : start + len(values)]):
                return None
            found.append(name)
        return cls(parts.skeleton, tuple(found), parts.shapes)

    def parts(self, model: nn.Module) -> Parts:
        """Return the ONNX graph of *model*, of the same modules, taken apart."""
        tensors = _tensors(model)
        return Parts(self.skeleton, np.concatenate([tensors[name].numpy().ravel() for name in self.names]), self.shapes)


def modules_of(model: nn.Module) -> str:
    """Return a digest of the modules of *model*, their settings and the shapes of their tensors, not of the values."""
    kinds = [f"{type(module).__module__}.{type(module).__qualname__}" for module in model.modules()]
    shapes = [(name, tuple(tensor.shape)) for name, tensor in model.state_dict().items()]
    return sha256(f"{model!r}{kinds}{shapes}".encode()).hexdigest()


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return the float32 tensors of *model*'s state by name; those of batch norms that count steps are none."""
    return {name: tensor for name, tensor in model.state_dict().items() if tensor.dtype == torch.float32}


@torch.no_grad()
def _with(model: nn.Module, weights: Weights) -> nn.Module:
    """Return a copy of *model* with *weights*, one tensor after another."""
    model = copy.deepcopy(model)
    position = 0
    for tensor in _tensors(model).values():
        values = weights[position : (position := position + tensor.numel())]
        tensor.copy_(torch.from_numpy(values.copy()).view(tensor.shape))
    return model

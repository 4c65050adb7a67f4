"""The same function in fewer words: a network rewritten so that converters translate it cleanly.

What is trained and what is exported compute the same numbers. The copy avoids four constructs:

* ``Hardsigmoid``, which converters turn into an operator without an integer version: relu6(x + 3) / 6.
* 'same' padding computed from the size of the input at run time: fixed paddings for one input size.
* Max pooling over a border of -infinity, which integer quantization cannot represent: the edge is repeated instead
  (the maximum of a window does not change when a member is repeated).
* NASNet's average pooling of 1x1 windows with stride 2, a subsampling in disguise: a 1x1 convolution with stride 2.
"""

import copy
from collections.abc import Iterable
from typing import Any

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import pad_same_arg
from timm.layers.pool2d_same import AvgPool2dSame, MaxPool2dSame
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models.nasnet import CellStem1, FirstCell
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that every torch user knows
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils.hooks import RemovableHandle


class _ReLU6Gate(nn.Module):
    def __init__(self, shift: float = 3.0) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(x + self.shift if self.shift else x) * (1.0 / 6.0)


class _EdgePad(nn.Module):
    """Repeats the last row and column, and the first ones where the padding asks for it."""

    def __init__(self, padding: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.left, self.right, self.top, self.bottom = padding

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x[:, :, :1]] * self.top + [x] + [x[:, :, -1:]] * self.bottom, dim=2)
        return torch.cat([x[:, :, :, :1]] * self.left + [x] + [x[:, :, :, -1:]] * self.right, dim=3)


class _Crop(nn.Module):
    """Drops the first row and column."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, 1:, 1:]


def exportable(model: nn.Module, input_size: int) -> nn.Module:
    """Return a copy of *model* in evaluation mode, equal to it for images (n, 3, input_size, input_size).

    *model* is left untouched. Equal up to rounding in float32.
    """
    model = copy.deepcopy(model).cpu().eval()
    sides = _input_sides(model, input_size)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            replacement = _rewritten(child, sides.get(child, 0))
            if replacement is not None:
                setattr(parent, name, replacement)
        if isinstance(parent, (CellStem1, FirstCell)):
            _subsample(parent, sides[parent.path_2])
    return model.eval()


class _SamePool(torch.autograd.Function):
    """Max pooling that looks at no pixel outside: one operator in ONNX and in LiteRT, but not in torch."""

    @staticmethod
    def forward(_: object, x: Tensor, padding: tuple[int, ...], kernel: int, stride: int) -> Tensor:
        return F.max_pool2d(F.pad(x, padding, value=float("-inf")), kernel, stride)

    @staticmethod
    def symbolic(graph: Any, x: object, _: object, kernel: tuple[int, int], stride: tuple[int, int]) -> object:  # noqa: ANN401 - torch has no types for it
        """Return the node that torch.onnx writes for it."""
        return graph.op("MaxPool", x, kernel_shape_i=kernel, strides_i=stride, auto_pad_s="SAME_UPPER")


class _SameMaxPool(nn.Module):
    def __init__(self, pad: nn.Module, pool: nn.Module) -> None:
        super().__init__()
        self.arguments = (pad.left, pad.right, pad.top, pad.bottom), pool.kernel_size, pool.stride

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = _SamePool.apply(x, *self.arguments)
        return pooled


def absorb_borders(model: nn.Module) -> nn.Module:
    """Leave the border of each max pooling of *model*, which ``exportable`` made, to the pooling; return *model*.

    It replaces up to four slices and two concatenations.
    """
    for parent in model.modules():
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Sequential) and len(child) and isinstance(child[0], _EdgePad):
                setattr(parent, name, _SameMaxPool(child[0], child[1]))
    return model


def absorb_gates(model: nn.Module) -> nn.Module:
    """Move the + 3 of each ReLU6 gate of *model*, which ``exportable`` made, into the bias before it; return *model*.

    Converters do so anyway, in the same arithmetic. Done before, each constant of the file is one weight of the graph,
    which new weights can replace (``fer_core.reuse``). So it is with ``absorb_norms``.
    """
    for module in model.modules():
        if isinstance(module, SqueezeExcite) and isinstance(module.gate, _ReLU6Gate):
            assert module.conv_expand.bias is not None  # noqa: S101 - for the type checker: timm gives it one
            module.conv_expand.bias.data += module.gate.shift
            module.gate = _ReLU6Gate(0.0)
    return model


@torch.no_grad()
def absorb_norms(model: nn.Module) -> nn.Module:
    """Move the batch norm behind NASNet's half-resolution paths into their convolutions; return *model*.

    The norm follows a concatenation, so that no converter folds it: it stays as a MUL and an ADD.
    """
    for cell in model.modules():
        if isinstance(cell, (CellStem1, FirstCell)) and isinstance(cell.final_path_bn, nn.BatchNorm2d):
            norm = cell.final_path_bn
            assert norm.running_mean is not None  # noqa: S101 - for the type checker: it keeps statistics
            assert norm.running_var is not None  # noqa: S101 - the same
            factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            shift = norm.bias - norm.running_mean * factor
            start = 0
            for conv in (cell.path_1, cell.path_2[-1]):
                channels = slice(start, start := start + len(conv.weight))
                conv.weight = nn.Parameter(conv.weight * factor[channels, None, None, None])
                conv.bias = nn.Parameter(shift[channels])
            cell.final_path_bn = nn.Identity()
    return model


@torch.no_grad()
def absorb_followers(model: nn.Module, input_size: int) -> nn.Module:
    """Move each batch norm that reads the output of a convolution of *model* into this convolution; return *model*.

    torch's export does so too, and makes tensors in ONNX that *model* has not got.
    """
    parents = {child: (parent, name) for parent in model.modules() for name, child in parent.named_children()}
    for conv, norm in _followers(model, input_size):
        assert norm.running_mean is not None  # noqa: S101 - for the type checker: it keeps statistics
        assert norm.running_var is not None  # noqa: S101 - the same
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        parent, name = parents[norm]
        setattr(parent, name, getattr(norm, "act", nn.Identity()))  # timm: a norm with an activation
    return model


def _followers(model: nn.Module, input_size: int) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Return the convolutions of *model* with the batch norm that reads their output."""
    made: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # the tensors stay alive, so that no two have one id
    found = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            made[id(output)] = module, output
        elif isinstance(module, nn.BatchNorm2d) and id(inputs[0]) in made:
            found.append((made[id(inputs[0])][0], module))

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    _walk(model, input_size, hooks)
    return found


def _input_sides(model: nn.Module, input_size: int) -> dict[nn.Module, int]:
    """Return the side, in pixels, of the square feature map that each module receives."""
    sides: dict[nn.Module, int] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0].ndim == 4:
            sides[module] = int(inputs[0].shape[-1])

    hooks = [module.register_forward_pre_hook(note) for module in model.modules()]
    _walk(model, input_size, hooks)
    return sides


def _walk(model: nn.Module, input_size: int, hooks: Iterable[RemovableHandle]) -> None:
    """Show *model* one black image while *hooks* are on its modules, then take them off."""
    with torch.inference_mode():
        model(torch.zeros(1, 3, input_size, input_size))
    for hook in hooks:
        hook.remove()


def _rewritten(module: nn.Module, side: int) -> nn.Module | None:
    """Return the equal of *module* for an input of *side* pixels, or ``None`` where it may stay."""
    match module:
        case nn.Hardsigmoid():
            return _ReLU6Gate()
        case Conv2dSame():
            plain = nn.Conv2d(
                module.in_channels,
                module.out_channels,
                module.kernel_size,
                module.stride,
                groups=module.groups,
                bias=module.bias is not None,
            )
            plain.load_state_dict(module.state_dict())
            return nn.Sequential(nn.ZeroPad2d(_padding(module, side)), plain)
        case MaxPool2dSame():
            return nn.Sequential(_EdgePad(_padding(module, side)), nn.MaxPool2d(module.kernel_size, module.stride))
        case AvgPool2dSame():
            pool = nn.AvgPool2d(module.kernel_size, module.stride)
            return nn.Sequential(nn.ZeroPad2d(_padding(module, side)), pool)
        case _:
            return None


def _padding(module: nn.Module, side: int) -> tuple[int, int, int, int]:
    left, right, top, bottom = pad_same_arg((side, side), module.kernel_size, module.stride)
    return left, right, top, bottom


def _subsample(cell: nn.Module, side: int) -> None:
    """Turn the two half-resolution paths of a NASNet *cell* into strided 1x1 convolutions.

    The second path looks one pixel further to the lower right. With an odd *side* that is a pixel outside: zero.
    """
    outside = [nn.ZeroPad2d((0, 1, 0, 1))] if side % 2 else []
    first, second = (_strided(cell.get_submodule(name)) for name in ("path_1.conv", "path_2.conv"))
    cell.path_1 = first
    cell.path_2 = nn.Sequential(_Crop(), *outside, second)


def _strided(conv: nn.Module) -> nn.Conv2d:
    weight = conv.get_parameter("weight")
    strided = nn.Conv2d(weight.shape[1], weight.shape[0], 1, stride=2, bias=False)
    strided.weight = weight
    return strided

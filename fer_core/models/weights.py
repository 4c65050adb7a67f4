"""Weights from outside: timm's ImageNet weights, or a state-dict file of the user's own."""

from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fer_core.errors import ConfigError
from fer_core.specs import ArchitectureName

HEAD = ("classifier.weight", "classifier.bias")
TORCHVISION_STEM = "features.0.0.weight"
"""The first tensor of torchvision's classification networks; timm calls it ``conv_stem.weight``."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""The statistics of ImageNet's pixels, by which torchvision's networks expect their input normalised."""


def load_imagenet(model: nn.Module, name: ArchitectureName) -> None:
    """Give *model* timm's pretrained ImageNet weights; a classifier of another shape keeps its own.

    The weights expect (pixel / 255 - mean) / std. Our input is pixel / 127.5 - 1, so scale and shift go into the
    first convolution and the batch norm behind it (exact but for the one-pixel border, where padding is zero).

    Raises:
        ConfigError: there are no such weights, or they cannot be downloaded.
    """
    if name == "nasnet_mobile":
        raise ConfigError(
            'weights: timm has no ImageNet weights for nasnet_mobile; use weights = "none" or a path to a state dict'
        )
    try:
        pretrained = timm.create_model(name, pretrained=True)
    except Exception as error:  # the hub client raises errors of several libraries, all of them meaning the same here
        raise ConfigError(
            f"weights: the ImageNet weights of {name} cannot be downloaded ({type(error).__name__}: {error}). "
            'Connect to the internet once, or use weights = "none" or a path to a state dict'
        ) from error
    config = pretrained.pretrained_cfg
    state = _with_our_input(pretrained.state_dict(), config["mean"], config["std"])
    _fit(model, state, f"ImageNet weights of {name}")


def load_state(model: nn.Module, path: str, *, with_classes: bool = False) -> None:
    """Give *model* the weights in the file at *path* (.pth, .pt or .safetensors).

    A classifier of another shape keeps its own weights, unless it is wanted *with_classes*; every other tensor must be
    there and fit. A file of
    torchvision's with ImageNet weights (MobileNetV2, say) is understood: names and input are translated.

    Raises:
        ConfigError: the file is missing, unreadable, or holds other tensors than *model*.
    """
    state = _read(Path(path))
    if TORCHVISION_STEM in state:
        state = _with_our_input(_in_our_words(state, model, path), IMAGENET_MEAN, IMAGENET_STD)
    _fit(model, state, path, with_classes=with_classes)


def _read(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise ConfigError(f"weights: {path} is not a file; give the path of a .pth or .safetensors state dict")
    try:
        state = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise ConfigError(f"weights: {path} is not a readable state dict ({error})") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ConfigError(f"weights: {path} holds something other than a dict of tensors; save model.state_dict()")
    return state


def _in_our_words(state: Mapping[str, Tensor], model: nn.Module, source: str) -> dict[str, Tensor]:
    """Return torchvision's *state* under the names that timm gives the same tensors, which come in the same order.

    Raises:
        ConfigError: the tensors do not line up, because *model* is another network.
    """
    own = model.state_dict()
    pairs = list(zip(own.items(), state.values(), strict=False))
    differ = [name for (name, ours), theirs in pairs if ours.shape != theirs.shape and name not in HEAD]
    if len(own) != len(state) or differ:
        raise ConfigError(
            f"weights: {source} holds torchvision's weights of another network "
            f"({len(state)} tensors, this one has {len(own)}; first difference: {next(iter(differ), 'their number')})"
        )
    return {name: theirs for (name, _), theirs in pairs}


def _with_our_input(state: Mapping[str, Tensor], mean: tuple[float, ...], std: tuple[float, ...]) -> dict[str, Tensor]:
    """Return *state* for input x = pixel / 127.5 - 1 instead of (pixel / 255 - mean) / std = scale * x + shift."""
    means, deviations = torch.tensor(mean), torch.tensor(std)
    scale, shift = 0.5 / deviations, (0.5 - means) / deviations
    weight = state["conv_stem.weight"]
    constant = (weight * shift[:, None, None]).sum((1, 2, 3))
    return dict(state) | {
        "conv_stem.weight": weight * scale[:, None, None],
        "bn1.running_mean": state["bn1.running_mean"] - constant,
    }


def _fit(model: nn.Module, state: Mapping[str, Tensor], source: str, *, with_classes: bool = False) -> None:
    """Load *state* into *model*, all or nothing, but for a classifier of another shape unless *with_classes*."""
    own = model.state_dict()
    state = dict(state)
    if not with_classes and any(name in state and state[name].shape != own[name].shape for name in HEAD):
        state |= {name: own[name] for name in HEAD}
    for name, tensor in own.items():
        if name not in state:
            raise ConfigError(f"weights: {source} lacks the tensor {name}; it belongs to another architecture")
        if state[name].shape != tensor.shape:
            raise ConfigError(
                f"weights: {source}: tensor {name} has shape {tuple(state[name].shape)}, "
                f"the network needs {tuple(tensor.shape)}"
            )
    if unknown := sorted(state.keys() - own.keys()):
        raise ConfigError(f"weights: {source} holds the tensor {unknown[0]}, which the network does not have")
    model.load_state_dict(state)

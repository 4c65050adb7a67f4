"""From an ``ArchitectureSpec`` to a network: one exhaustive match, no registry.

Every network takes float32 images (n, 3, side, side), RGB, value = pixel / 127.5 - 1, and returns logits
(n, num_classes) in the order of ``fer_core.labels.EXPRESSIONS``. The last layer is always called ``classifier``.
"""

from typing import assert_never

import timm
import torch
from timm.models._efficientnet_blocks import InvertedResidual
from torch import nn

from fer_core.models.nasnet import NASNetMobile
from fer_core.models.weights import load_imagenet, load_state
from fer_core.specs import ArchitectureName, ArchitectureSpec

DROPOUT = 0.2
"""Dropout in front of the classifier: the value of the EfficientNet and MobileNetV3 papers."""


def build(spec: ArchitectureSpec, num_classes: int = 7, *, seed: int = 0) -> nn.Module:
    """Return the network of *spec* with the weights that it names, in training mode, on the CPU.

    The same *seed* gives the same initial weights; torch's global generator is left as it was.

    Raises:
        ConfigError: the weights do not exist, cannot be downloaded, or do not fit the network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _untrained(spec.name, num_classes)
        _calm(model)
    match spec.weights:
        case "none":
            pass
        case "imagenet":
            load_imagenet(model, spec.name)
        case path:
            load_state(model, path)
    return model


def _untrained(name: ArchitectureName, num_classes: int) -> nn.Module:
    match name:
        case "mobilenetv3_small_100" | "mobilenetv2_100" | "efficientnet_b0" | "mobilenetv3_large_100":
            model: nn.Module = timm.create_model(name, num_classes=num_classes, drop_rate=DROPOUT)
            return model
        case "nasnet_mobile":
            return NASNetMobile(num_classes, drop_rate=DROPOUT)
        case _:
            assert_never(name)


def _calm(model: nn.Module) -> None:
    """Start near the identity: faint residual branches, a nearly silent classifier.

    Short trainings on small sets hang for epochs at the loss of chance when the untrained network shouts: see
    Goyal et al., "Accurate, large minibatch SGD" (https://arxiv.org/abs/1706.02677), section 5.1, who start the last
    batch norm of a residual branch at 0. It is 0.1 here, because an exact 0 lets converters simplify the untrained
    network to another graph than the trained one. Running means of exactly 0 would do the same where a batch norm
    cannot be folded (NASNet); training replaces them before they are ever used.
    """
    for block in model.modules():
        if isinstance(block, InvertedResidual) and block.has_skip:
            nn.init.constant_(block.get_submodule("bn3").get_parameter("weight"), 0.1)
        if isinstance(block, nn.BatchNorm2d):
            nn.init.constant_(block.get_buffer("running_mean"), 0.001)
    classifier = model.get_submodule("classifier")
    nn.init.normal_(classifier.get_parameter("weight"), std=0.01)
    nn.init.zeros_(classifier.get_parameter("bias"))

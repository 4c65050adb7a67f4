"""Networks for tests of what rewrites or exports them."""

import torch
from torch import nn

from fer_core.models.build import build
from fer_core.specs import ArchitectureName, ArchitectureSpec


def lively(name: ArchitectureName, seed: int = 0) -> nn.Module:
    """A network whose batch norms are not the identity, so that padding and order of operations show."""
    model = build(ArchitectureSpec(name=name), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            module.bias.data.normal_(0, 0.3, generator=generator)
    return model.eval()

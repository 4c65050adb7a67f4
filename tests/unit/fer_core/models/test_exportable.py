"""The rewritten network computes what the trained one computes, without the operators that converters stumble over."""

from typing import get_args

import pytest
import torch
from lively import lively
from torch import nn

from fer_core.models.build import build
from fer_core.models.exportable import absorb_followers, absorb_gates, absorb_norms, exportable
from fer_core.specs import ArchitectureName, ArchitectureSpec

FORBIDDEN = {"Hardsigmoid", "Conv2dSame", "MaxPool2dSame", "AvgPool2dSame"}


@pytest.mark.parametrize("name", get_args(ArchitectureName))
@pytest.mark.parametrize("size", [64, 80])
def test_equal_to_the_original(name, size):
    model = lively(name)
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1
    copy = exportable(model, size)
    with torch.inference_mode():
        expected, got = model(images), copy(images)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert not FORBIDDEN & {type(module).__name__ for module in copy.modules()}


@pytest.mark.parametrize(
    ("name", "size"), [("mobilenetv3_small_100", 64), ("nasnet_mobile", 64), ("nasnet_mobile", 80)]
)
def test_what_convolutions_absorb_they_compute(name, size):
    model = exportable(lively(name), size)
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        expected = model(images)
        got = absorb_followers(absorb_norms(absorb_gates(model)), size)(images)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert not any(getattr(module, "shift", 0.0) for module in model.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def test_leaves_the_original_alone():
    model = build(ArchitectureSpec(name="nasnet_mobile")).train()
    kinds = [type(module) for module in model.modules()]
    exportable(model, 64)
    assert model.training
    assert [type(module) for module in model.modules()] == kinds


@pytest.mark.filterwarnings("ignore:.torch.jit.trace:FutureWarning", "ignore:.torch.jit.trace:DeprecationWarning")
def test_no_padding_is_computed_from_the_input():
    """Tracing warns when Python numbers are made from tensors; warnings are errors here."""
    copy = exportable(lively("nasnet_mobile"), 64)
    torch.jit.trace(copy, torch.zeros(1, 3, 64, 64), check_trace=False)

"""int8 grids: zero is a level, equal weights stay equal, gradients pass inside the range alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fer_core.integer.grids import HIGHEST, LOWEST, Activation, PerChannel, grid, moments, usual_extremes


@given(low=st.floats(-1e3, 0), high=st.floats(1e-3, 1e3))
def test_a_grid_spans_its_range_and_zero_is_one_of_its_levels(low, high):
    scale, zero = grid(low, high)
    assert LOWEST <= zero <= HIGHEST
    assert scale * (LOWEST - zero) == pytest.approx(low, abs=scale)
    assert scale * (HIGHEST - zero) == pytest.approx(high, abs=scale)


def test_weights_are_rounded_by_output_channel_and_keep_zeros_and_equals():
    weight = torch.tensor([[0.0, 0.5, -1.0, 0.5], [0.0, 30.0, 100.0, 30.0]])
    rounded = PerChannel()(weight)
    assert (rounded[:, 0] == 0).all()
    assert torch.equal(rounded[:, 1], rounded[:, 3])
    levels = rounded / (weight.abs().amax(1, keepdim=True) / HIGHEST)
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    assert ((rounded - weight).abs() <= weight.abs().amax(1, keepdim=True) / HIGHEST / 2 + 1e-6).all()


def test_the_gradient_passes_within_the_range_only():
    activation = Activation(1, (-1.0, 1.0)).eval()
    values = torch.tensor([-3.0, -0.5, 0.5, 3.0], requires_grad=True)
    activation(values, 0).sum().backward()
    assert values.grad.tolist() == [0.0, 1.0, 1.0, 0.0]


def test_an_activation_watches_settles_then_follows_what_it_sees():
    activation = Activation(2)
    activation.watch()
    images = torch.linspace(0, 1, 40).view(10, 4)
    assert activation(images, 0) is images, "while watching, nothing is rounded"
    activation(-2 * images, 1)
    activation.settle()
    low, high = usual_extremes(images.amin(1), images.amax(1))
    assert activation.range == (pytest.approx(2 * -float(high)), pytest.approx(float(high)))
    assert float(low) == 0.0
    before = activation.range
    activation.eval()(10 * images, 0)
    assert activation.range == before, "no range moves outside of training"
    activation.train()(10 * images, 0)
    assert activation.range[1] > before[1]
    activation.follows = False
    moved = activation.range
    activation(100 * images, 0)
    assert activation.range == moved


def test_a_fixed_range_is_never_moved():
    activation = Activation(1, (0.0, 1.0)).train()
    activation.watch()
    activation(torch.full((2, 3), 7.0), 0)
    activation.settle()
    activation(torch.full((2, 3), 7.0), 0)
    assert activation.range == (0.0, 1.0)


def test_moments_are_those_of_each_image():
    found = moments(torch.tensor([[1.0, 3.0], [-4.0, 4.0]]))
    assert found.tolist() == [[1.0, 3.0, 2.0, pytest.approx(5**0.5), 2.0], [-4.0, 4.0, 0.0, 4.0, 2.0]]

"""Pruning removes exactly what it should, from the right places, for good."""

import pytest
import torch
from torch import nn

from fer_core.compression.pruning import RAMP, Gradual, bake, masks, prune, scores_of, sparsity


def network(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, groups=8),
            nn.Flatten(),
            nn.Linear(8, 7),
        )


WEIGHTS = 8 * 27 + 8 * 9 + 56


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.77, 0.99])
def test_the_ratio_is_exact_over_the_whole_network(ratio):
    model = network()
    prune(model, ratio)
    bake(model)
    assert sparsity(model) == round(ratio * WEIGHTS) / WEIGHTS


def test_scores_follow_their_definition():
    weight = torch.tensor([[3.0, -1.0], [0.0, 2.0]])
    torch.testing.assert_close(scores_of(weight), torch.tensor([[1.0, 1 / 14], [0.0, 4 / 13]], dtype=torch.float64))


def test_within_a_layer_the_smallest_magnitudes_go():
    model = network()
    for name, mask in masks(model, 0.6).items():
        magnitude = model.get_submodule(name).weight.detach().abs()
        if not mask.all():
            assert magnitude[~mask].max() <= magnitude[mask].min()


def test_the_scale_of_a_layer_does_not_matter_and_no_layer_dies():
    model, scaled = network(), network()
    scaled[0].weight.data *= 1e-4
    before, after = masks(model, 0.95), masks(scaled, 0.95)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(mask.any() for mask in after.values())


def test_a_layer_of_equal_weights_is_pruned_by_position():
    model = network()
    for layer in (model[0], model[3], model[5]):
        nn.init.constant_(layer.weight, 1.0)
    first, second = masks(model, 0.5), masks(model, 0.5)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert sum(int((~mask).sum()) for mask in first.values()) == round(0.5 * WEIGHTS)


def test_zeros_survive_an_optimiser_and_biases_are_spared():
    model = network()
    prune(model, 0.7)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(4, 3, 5, 5)).square().sum().backward()
        optimizer.step()
    bake(model)
    assert sparsity(model) == round(0.7 * WEIGHTS) / WEIGHTS
    assert (model[5].bias != 0).all()
    assert sorted(model.state_dict()) == sorted(network().state_dict())


def test_gradual_pruning_follows_its_cubic_and_never_revives_a_weight():
    model = network()
    gradual, shares, dead = Gradual(model, 0.8), [], None
    for done in (0.0, 0.1, 0.2, 0.3, 0.4, RAMP, 0.9):
        gradual(done)
        shares.append(sparsity(model))
        now = model[0].weight == 0
        assert dead is None or (now | ~dead).all()
        dead = now
        for layer in (model[0], model[3], model[5]):  # as an optimiser would
            layer.parametrizations.weight.original.data += 0.05
    expected = [0.8 * (1 - (1 - min(1.0, done / RAMP)) ** 3) for done in (0.0, 0.1, 0.2, 0.3, 0.4, RAMP, 0.9)]
    assert shares == pytest.approx(expected, abs=0.03)
    assert shares[-1] == shares[-2] == round(0.8 * WEIGHTS) / WEIGHTS
    bake(model)
    assert sorted(model.state_dict()) == sorted(network().state_dict())

"""k-means finds the clusters, layers share them, training moves centroids and nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.cluster import KMeans
from torch import nn

from fer_core.compression.pruning import bake
from fer_core.compression.weight_clustering import (
    assign,
    kmeans,
    nearest,
    share_weights,
    squared_error,
    values_per_layer,
)

some_values = arrays(np.float32, st.integers(1, 60), elements=st.floats(-10, 10, width=32))


@given(some_values, st.integers(1, 8))
def test_centroids_are_a_fixed_point_of_lloyd(values, clusters):
    centroids = kmeans(values, clusters)
    assert len(centroids) <= max(clusters, 1)
    assert (np.diff(centroids) >= 0).all()
    assignments = nearest(values, centroids)
    distances = np.abs(values[:, None].astype(float) - centroids)
    np.testing.assert_allclose(distances[np.arange(len(values)), assignments], distances.min(1), atol=1e-6)
    for cluster in np.unique(assignments):
        assert centroids[cluster] == pytest.approx(values[assignments == cluster].astype(float).mean(), abs=1e-5)


def test_well_separated_clusters_are_found_exactly():
    rng = np.random.default_rng(0)
    centers = np.array([-3.0, -1.0, 0.5, 4.0])
    values = np.concatenate([center + rng.uniform(-0.1, 0.1, 50) for center in centers])
    np.testing.assert_allclose(kmeans(values, 4), centers, atol=0.05)


def test_as_good_as_scikit_learn():
    values = np.random.default_rng(1).laplace(0, 0.1, 4000).astype(np.float32)
    reference = KMeans(16, n_init=3, random_state=0).fit(values[:, None]).inertia_
    assert squared_error(values, kmeans(values, 16)) <= 1.05 * reference


def test_few_distinct_values_are_kept():
    assert kmeans(np.array([2.0, 1.0, 2.0]), 5).tolist() == [1.0, 2.0]


@given(some_values, st.integers(2, 8))
def test_zero_keeps_a_centroid_of_its_own(values, clusters):
    values[::3] = 0
    assignments, holds_zero = assign(values, clusters)
    assert holds_zero
    assert ((assignments == 0) == (values == 0)).all()
    assert set(assignments) == set(range(assignments.max() + 1))
    assert assignments.max() < clusters


def network(pruned=False):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 9, 7))
    if pruned:
        for layer in (model[0], model[3]):
            layer.weight.data[layer.weight.abs() < layer.weight.abs().median()] = 0
    return model


@pytest.mark.parametrize("pruned", [False, True])
def test_fine_tuning_moves_centroids_but_keeps_clusters_and_zeros(pruned):
    model = network(pruned)
    zeros = model[3].weight == 0
    share_weights(model, 8)
    before = model[3].weight.detach().clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(4, 3, 5, 5)).square().sum().backward()
        optimizer.step()
    bake(model)
    after = model[3].weight.detach()
    assert values_per_layer(model) == {"0": 8, "3": 8}
    assert (after != before).any()
    for value in before.unique():
        assert len(after[before == value].unique()) == 1
    assert not pruned or torch.equal(after == 0, zeros)
    assert sorted(model.state_dict()) == sorted(network().state_dict())


def test_the_gradient_of_a_centroid_is_the_sum_over_its_weights():
    model = nn.Sequential(nn.Linear(4, 1, bias=False))
    model[0].weight.data = torch.tensor([[1.0, 1.0, 5.0, 5.0]])
    share_weights(model, 2)
    model(torch.tensor([[1.0, 2.0, 10.0, 20.0]])).sum().backward()
    assert model[0].parametrizations.weight.original.grad.tolist() == [3.0, 30.0]

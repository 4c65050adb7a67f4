"""Tensors are recognised by their numbers, whatever their names, order and layout; a stranger is not taken in."""

import numpy as np

from fer_core.integer.ranges import LearnedRanges, grids_of, moments


def seen(values):
    """(tensors, images, 5) of a list of (images, ...)."""
    return np.stack([np.stack([moments(image) for image in each]) for each in values])


def setting():
    rng = np.random.default_rng(0)
    values = [rng.normal(mean, 1, (4, 5, 5, 3)).astype(np.float32) for mean in (0, 0.5, 2, 4)]
    learned = LearnedRanges(
        ranges=np.array([[-3.0, 3.0], [-2.0, 5.0], [0.0, 8.0]]),
        grid_of=(0, 1, 2, 2),
        moments=seen(values),
        probes=np.zeros((4, 8, 8, 3), dtype=np.uint8),
    )
    return values, learned


def test_finds_each_tensor_in_another_order_layout_and_rounding():
    values, learned = setting()
    mixed = [values[2].transpose(0, 3, 1, 2) * np.float32(1 + 1e-6), values[0], values[1][:, ::-1]]
    assert grids_of(seen(mixed), [[0], [1], [2]], learned) == [2, 0, 1]


def test_tensors_that_share_a_grid_find_it_together_and_through_one_another():
    values, learned = setting()
    stranger = np.random.default_rng(1).normal(9, 1, (4, 5, 5, 3)).astype(np.float32)
    found = seen([values[2], values[3], stranger])
    assert grids_of(found, [[0, 1], [2]], learned) == [2, None]
    assert grids_of(found, [[0, 1, 2]], learned) == [2], "a stranger among acquaintances goes with them"


def test_members_that_fit_different_grids_find_none():
    values, learned = setting()
    assert grids_of(seen([values[0], values[1]]), [[0, 1]], learned) == [None]


def test_equal_statistics_of_another_size_are_another_tensor():
    values, learned = setting()
    twice = np.concatenate([values[0], values[0]], axis=1)
    assert grids_of(seen([twice]), [[0]], learned) == [None]

"""Quotas add up, epochs show what they should, pixels become inputs."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from fer_core.batches import epoch_order, quotas, to_input

some_counts = st.lists(st.integers(0, 300), min_size=7, max_size=7).filter(lambda counts: sum(counts) > 0)


@given(some_counts, st.floats(0, 1))
def test_quotas_add_up_and_stay_near_their_shares(counts, balance):
    counts = np.array(counts)
    given_out = quotas(counts, balance)
    assert given_out.sum() == counts.sum()
    assert (given_out[counts == 0] == 0).all()
    shares = (1 - balance) * counts / counts.sum() + balance * (counts > 0) / (counts > 0).sum()
    assert np.abs(given_out - shares * counts.sum()).max() < 1 + 1e-6


@given(some_counts)
def test_balance_zero_keeps_frequencies_and_one_makes_classes_equal(counts):
    counts = np.array(counts)
    assert (quotas(counts, 0.0) == counts).all()
    equal = quotas(counts, 1.0)[counts > 0]
    assert equal.max() - equal.min() <= 1


@given(some_counts, st.floats(0, 1), st.integers(0, 9))
def test_an_epoch_repeats_no_image_before_all_of_its_class_were_shown(counts, balance, seed):
    labels = np.repeat(np.arange(7), counts)
    rows = epoch_order(labels, balance, np.random.default_rng(seed))
    shown = np.bincount(rows, minlength=len(labels))
    assert (np.bincount(labels[rows], minlength=7) == quotas(np.array(counts), balance)).all()
    for label in range(7):
        times = shown[labels == label]
        assert times.size == 0 or times.max() - times.min() <= 1


people = st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["", "A", "B", "C"])), min_size=1, max_size=120)


def drawn(people, balance, group_balance, seed=0):
    labels = np.array([label for label, _ in people])
    groups = np.array([group for _, group in people])
    rng = np.random.default_rng(seed)
    return labels, groups, epoch_order(labels, balance, rng, groups=groups, group_balance=group_balance)


@given(people, st.floats(0, 1), st.floats(0, 1))
def test_groups_are_balanced_inside_classes_and_leave_the_classes_as_they_are(people, balance, group_balance):
    labels, groups, rows = drawn(people, balance, group_balance)
    classes = quotas(np.bincount(labels, minlength=7), balance)
    assert (np.bincount(labels[rows], minlength=7) == classes).all()
    for label in set(labels.tolist()):
        inside, shown = groups[labels == label], groups[rows][labels[rows] == label]
        for group in set(inside.tolist()):
            share = (1 - group_balance) * (inside == group).mean() + group_balance / len(set(inside.tolist()))
            assert abs((shown == group).sum() - share * classes[label]) < 1 + 1e-6


@given(people, st.floats(0, 1), st.floats(0.01, 1), st.integers(0, 9))
def test_no_image_of_a_class_and_group_is_shown_twice_before_each_once(people, balance, group_balance, seed):
    labels, groups, rows = drawn(people, balance, group_balance, seed)
    shown = np.bincount(rows, minlength=len(labels))
    for cell in set(people):
        times = shown[(labels == cell[0]) & (groups == cell[1])]
        assert times.max() - times.min() <= 1
    assert (rows == drawn(people, balance, group_balance, seed)[2]).all()


@given(people, st.floats(0, 1), st.integers(0, 9))
def test_without_group_balance_groups_change_nothing(people, balance, seed):
    labels, _, rows = drawn(people, balance, 0.0, seed)
    assert (rows == epoch_order(labels, balance, np.random.default_rng(seed))).all()


def test_balance_zero_is_a_permutation_and_seeds_differ():
    labels = np.arange(70) % 7
    first, again, other = (epoch_order(labels, 0.0, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (np.sort(first) == np.arange(70)).all()
    assert (first == again).all()
    assert (first != other).any()


def test_pixels_span_minus_one_to_one_channels_first():
    images = np.zeros((2, 4, 4, 3), dtype=np.uint8)
    images[0, 1, 2] = (255, 0, 51)
    tensor = to_input(images)
    assert tensor.shape == (2, 3, 4, 4)
    torch.testing.assert_close(tensor[0, :, 1, 2], torch.tensor([1.0, -1.0, -0.6]))
    assert tensor.is_contiguous(memory_format=torch.channels_last)

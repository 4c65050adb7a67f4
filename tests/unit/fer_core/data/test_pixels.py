"""Rows over several shards read like one array, whatever selects them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_core.data.pixels import Pixels, joined, selected

shards = st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(any)


def make(lengths):
    numbers = iter(np.arange(sum(lengths), dtype=np.uint8))
    parts = [np.array([np.full((2, 2, 3), next(numbers)) for _ in range(n)]).reshape(n, 2, 2, 3) for n in lengths]
    parts = [part.astype(np.uint8) for part in parts]
    return parts, np.concatenate(parts)


@given(shards, st.data())
def test_it_reads_like_the_array_that_the_shards_make_up(lengths, data):
    parts, whole = make(lengths)
    pixels = Pixels(parts)
    assert len(pixels) == len(whole)
    assert pixels.shape == whole.shape
    assert (np.asarray(pixels) == whole).all()
    assert pixels.nbytes == whole.nbytes
    rows = np.array(data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=9)), dtype=np.int64)
    low, high = data.draw(st.integers(0, len(whole))), data.draw(st.integers(0, len(whole)))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(whole), max_size=len(whole))))
    for where in (rows, slice(low, high), mask, slice(None, None, -1)):
        assert (pixels[where] == whole[where]).all()
        assert (pixels.take(where)[:] == whole[where]).all()
        assert (selected(pixels, where)[:] == selected(whole, where)).all()
    assert (pixels[len(whole) - 1] == whole[-1]).all()


@given(shards, shards)
def test_joined_parts_follow_each_other(one, other):
    (first, start), (second, end) = make(one), make(other)
    both = joined([Pixels(first), Pixels(second).take(slice(None, None, -1))])
    assert (both[:] == np.concatenate([start, end[::-1]])).all()


def test_a_slice_inside_a_shard_is_a_view_and_taking_reads_nothing():
    parts, _ = make([4, 4])
    pixels = Pixels(parts)
    assert np.shares_memory(pixels[1:3], parts[0])
    assert not np.shares_memory(pixels[3:5], parts[0])
    taken = pixels.take(np.array([5, 6, 7]))
    parts[1][1] = 99
    assert (taken[0] == 99).all()


def test_numbers_out_of_range_are_refused():
    with pytest.raises(IndexError):
        Pixels(make([3])[0])[np.array([3])]

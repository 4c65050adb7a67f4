"""Perceptual hashes, pairs of like ones, and what counts as a duplicate."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_core.data.duplicates import find_duplicates
from fer_core.data.hashing import DISTANCE, like_pairs, perceptual_hash


def picture(seed, side=96):
    grain = np.random.default_rng(seed).integers(0, 255, (7, 7, 3), dtype=np.uint8)
    return cv2.resize(grain, (side, side), interpolation=cv2.INTER_CUBIC)


def distance(one, other):
    return (perceptual_hash(one) ^ perceptual_hash(other)).bit_count()


@pytest.mark.parametrize("seed", range(8))
def test_size_compression_and_brightness_hardly_change_a_hash(seed):
    original = picture(seed)
    _, data = cv2.imencode(".jpg", original, [cv2.IMWRITE_JPEG_QUALITY, 60])
    compressed = cv2.imdecode(data, cv2.IMREAD_COLOR)
    darker = (original * 0.8 + 10).astype(np.uint8)
    smaller = cv2.resize(original, (64, 64), interpolation=cv2.INTER_AREA)
    assert max(distance(original, other) for other in (compressed, darker, smaller)) <= DISTANCE + 2
    assert distance(original, picture(seed + 100)) > 3 * DISTANCE


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12), st.data())
def test_every_pair_within_the_distance_is_found_and_no_other(values, data):
    for _ in range(data.draw(st.integers(0, 8))):
        value = data.draw(st.sampled_from(values))
        for bit in data.draw(st.lists(st.integers(0, 63), max_size=DISTANCE + 2)):
            value ^= 1 << bit
        values.append(value)
    hashes = np.array(values, dtype=np.uint64)
    found = {tuple(pair) for pair in like_pairs(hashes).tolist()}
    first = {value: values.index(value) for value in values}
    wanted = {
        (i, j)
        for j in range(len(values))
        for i in range(j)
        if (values[i] ^ values[j]).bit_count() <= DISTANCE and first[values[i]] == i
        if first[values[j]] == j or values[i] == values[j]
    }
    assert found == wanted


def test_a_hundred_thousand_hashes_are_compared_without_comparing_all(monkeypatch):
    compared = []
    count = np.bitwise_count
    monkeypatch.setattr("numpy.bitwise_count", lambda bits: compared.append(len(bits)) or count(bits))
    hashes = np.random.default_rng(0).integers(0, 2**64, 100_000, dtype=np.uint64)
    hashes[-1] = hashes[5] ^ np.uint64(0b1011)
    assert [5, 99_999] in like_pairs(hashes).tolist()
    assert sum(compared) < 100_000**2 / 2 / 500


def found(images, identities=None, films=None):
    identities = identities or [str(number) for number in range(len(images))]
    hashes = np.array([perceptual_hash(image) for image in images], dtype=np.uint64)
    return find_duplicates(np.stack(images), identities, hashes, films or [""] * len(images))


def test_the_first_of_those_that_show_the_same_is_the_original():
    one, other = picture(1), picture(2)
    like = (one * 0.95 + 4).astype(np.uint8)
    answer = found([other, one, like, one, like], ["b", "a", "c", "a", "d"])
    assert answer.original.tolist() == [-1, -1, 1, 1, 1]
    assert answer.exact.tolist() == [False, False, False, True, False]


def test_like_hashes_of_unlike_pixels_are_no_duplicates():
    one = picture(1)
    other = picture(2)
    hashes = np.array([7, 7], dtype=np.uint64)
    assert (find_duplicates(np.stack([one, other]), ["a", "b"], hashes, ["", ""]).original == -1).all()


def test_frames_of_one_film_are_not_compared_but_films_are():
    frames = [picture(1), (picture(1) * 0.97).astype(np.uint8)]
    assert (found(frames, films=["f", "f"]).original == -1).all()
    assert found(frames, films=["f", "g"]).original.tolist() == [-1, 0]


def test_blank_pictures_are_duplicates_only_byte_by_byte():
    blank = [np.full((96, 96, 3), value, dtype=np.uint8) for value in (10, 11, 10)]
    assert found(blank, ["a", "b", "a"]).original.tolist() == [-1, -1, 0]

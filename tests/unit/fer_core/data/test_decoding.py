import numpy as np
import pytest
from PIL import Image

from fer_core.data.cropping import square
from fer_core.data.decoding import photograph
from fer_core.errors import DataError


def gradient(height, width):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns * 255 // width, rows * 255 // height, np.full((height, width), 90)], axis=2).astype(
        np.uint8
    )


def decode(path, size):
    return square(photograph(path, 2 * size).pixels, size)


def test_the_centre_square_is_kept():
    pixels = np.zeros((4, 10, 3), dtype=np.uint8)
    pixels[:, 3:7] = 200
    assert (square(pixels, 4) == 200).all()


def test_a_large_photograph_comes_out_small_and_faithful(tmp_path):
    Image.fromarray(gradient(1500, 2000)).save(tmp_path / "large.jpg", quality=95)
    small = decode(tmp_path / "large.jpg", 48)
    expected = square(gradient(1500, 2000), 48)
    assert small.shape == (48, 48, 3)
    assert np.abs(small.astype(int) - expected).mean() < 3


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_other_modes_become_rgb(tmp_path, mode):
    kind = "jpg" if mode in {"L", "CMYK"} else "png"
    Image.fromarray(gradient(60, 60)).convert(mode).save(tmp_path / f"picture.{kind}")
    assert decode(tmp_path / f"picture.{kind}", 32).shape == (32, 32, 3)


def test_the_orientation_of_the_camera_is_undone(tmp_path):
    image = Image.fromarray(gradient(64, 64))
    exif = image.getexif()
    exif[0x0112] = 3  # upside down
    image.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    expected = gradient(64, 64)[::-1, ::-1]
    assert np.abs(decode(tmp_path / "turned.jpg", 64).astype(int) - expected).mean() < 4


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.995])
@pytest.mark.parametrize("size", [32, 300])
def test_a_truncated_jpeg_is_refused(tmp_path, keep, size):
    path = tmp_path / "cut.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (600, 600, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(DataError, match="cannot be decoded"):
        decode(path, size)


@pytest.mark.parametrize("content", [b"not a picture", b"\xff\xd8\xff"])
def test_what_is_no_picture_is_refused(tmp_path, content):
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.jpg: cannot be decoded"):
        decode(tmp_path / "x.jpg", 32)

"""Rows of FER2013's table, and frames of films at a stated rate."""

import av
import numpy as np
import pytest

from fer_core.data.frames import table_row, video_frames
from fer_core.data.loading import load_faces
from fer_core.data.sources import DataSource
from fer_core.errors import DataError


def test_any_row_is_read_as_it_stands_whatever_the_table_looks_like(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 255, (5, 48, 48))
    table = tmp_path / "fer2013.csv"
    lines = [f'{n % 7},"{" ".join(map(str, row.ravel()))}",Training' for n, row in enumerate(rows)]
    table.write_text("emotion, pixels,Usage\r\n" + "\r\n\r\n".join(lines), encoding="utf-8-sig", newline="")
    for number in (3, 0, 4):
        picture = table_row(table, number)
        assert (picture.pixels == rows[number][..., None]).all()
    with pytest.raises(DataError, match=r"fer2013\.csv#5: cannot be decoded"):
        table_row(table, 5)


def test_rows_and_files_of_the_same_pixels_make_the_same_faces(tmp_path):
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 255, (7, 48, 48))
    lines = [f"{n},{' '.join(map(str, row.ravel()))},Training" for n, row in enumerate(rows)]
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n" + "\n".join(lines))
    faces = load_faces([DataSource(layout="fer2013", path=tmp_path)], 48, tmp_path / "cache")
    assert (faces.images[:] == rows[..., None]).all()
    assert faces.labels.tolist() == [0, 1, 2, 3, 5, 6, 4]
    assert len(set(faces.subjects.tolist())) == 7


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Three seconds at 10 frames a second; frame k has the grey value 8 k."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.gop_size = 6
        stream.bit_rate = 8_000_000
        for number in range(30):
            grey = np.full((64, 64, 3), 8 * number, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    return path


def shown(film, rate, wanted):
    return [round(float(picture.pixels.mean()) / 8) for picture in video_frames(film, rate, wanted)]


@pytest.mark.parametrize(("rate", "every"), [(2, 5), (5, 2), (10, 1)])
def test_frames_are_those_shown_at_their_time(film, rate, every):
    wanted = list(range(30 // every))
    assert shown(film, rate, wanted) == [every * number for number in wanted]


def test_a_faster_rate_than_the_film_repeats_frames(film):
    assert shown(film, 20, [0, 1, 2, 3]) == [0, 0, 1, 1]


@pytest.mark.parametrize("start", [1, 3, 8, 14])
def test_the_frames_do_not_depend_on_where_reading_begins(film, start):
    assert shown(film, 5, range(start, 15)) == shown(film, 5, range(15))[start:]


def test_a_frame_behind_the_end_is_an_error(film):
    with pytest.raises(DataError, match="ends before frame 60"):
        list(video_frames(film, 5, [3, 60]))

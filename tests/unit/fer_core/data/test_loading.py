import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_core.data.loading import is_synthetic, load_faces
from fer_core.data.sources import DataSource
from fer_core.errors import DataError

WORDS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


@pytest.fixture
def source(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(21):
        path = tmp_path / "set" / "train" / WORDS[number % 7] / f"C{number % 3:02d}_{number:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(path)
    return DataSource(
        layout="folders", path=tmp_path / "set", population="children", subject_pattern=r"(?P<subject>C\d\d)_"
    )


def truncate(path):
    path.write_bytes(path.read_bytes()[:-200])


def test_a_set_is_decoded_once_and_then_opened(tmp_path, source):
    calls = []
    first = load_faces([source], 32, tmp_path / "cache", progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (21, 21)
    again = load_faces([source], 32, tmp_path / "cache", progress=lambda *_: pytest.fail("decoded again"))
    assert isinstance(again.images, np.memmap)
    assert again.images.shape == (21, 32, 32, 3)
    assert again.size == 32
    assert (first.images == again.images).all()
    assert first.digest == again.digest
    assert again.class_counts.tolist() == [3] * 7
    assert set(again.subjects) == {"C00", "C01", "C02"}
    assert set(again.populations) == {"children"}
    assert not again.synthetic
    with pytest.raises(ValueError, match="read-only"):
        again.images[0] = 0


def test_the_digest_follows_the_contents_not_the_place(tmp_path, source):
    here = load_faces([source], 32, tmp_path / "cache")
    shutil.copytree(source.path, tmp_path / "copy")
    copied = source.model_copy(update={"path": tmp_path / "copy"})
    assert load_faces([copied], 32, tmp_path / "cache").digest == here.digest
    Image.new("RGB", (40, 40)).save(tmp_path / "copy" / "train" / "happy" / "C01_003.jpg")
    assert load_faces([copied], 32, tmp_path / "cache").digest != here.digest
    assert load_faces([source], 48, tmp_path / "cache").digest != here.digest


def test_a_truncated_photograph_is_skipped_and_reported(tmp_path, source):
    victim = source.path / "train" / "happy" / "C00_003.jpg"
    truncate(victim)
    for _ in range(2):
        faces = load_faces([source], 32, tmp_path / "cache")
        assert len(faces) == len(faces.images) == 20
        (skipped,) = faces.skipped
        assert skipped.path == str(victim)
        assert "truncated" in skipped.reason


def test_nothing_usable_is_an_error(tmp_path, source):
    for path in source.path.rglob("*.jpg"):
        truncate(path)
    with pytest.raises(DataError, match="none of the 21 photographs can be decoded"):
        load_faces([source], 32, tmp_path / "cache")
    with pytest.raises(DataError, match="no data source"):
        load_faces([], 32, tmp_path / "cache")
    with pytest.raises(DataError, match="no such folder"):
        load_faces([DataSource(layout="cafe", path=tmp_path / "nowhere")], 32, tmp_path / "cache")


def test_images_without_a_subject_are_subjects_of_their_own(tmp_path, source):
    anonymous = source.model_copy(update={"subject_pattern": None})
    faces = load_faces([anonymous, anonymous], 32, tmp_path / "cache")
    assert len(set(faces.subjects)) == len(faces) == 42


@pytest.mark.parametrize("damage", ["shorten", "garble", "remove"])
def test_a_damaged_cache_is_built_again(tmp_path, source, damage):
    faces = load_faces([source], 32, tmp_path / "cache")
    (pixels,) = (tmp_path / "cache").glob("*/images.bin")
    if damage == "shorten":
        os.truncate(pixels, 1000)
    elif damage == "garble":
        pixels.with_name("about.json").write_text("{")
    else:
        pixels.with_name("rows.npz").unlink()
    assert load_faces([source], 32, tmp_path / "cache").digest == faces.digest


def test_what_a_killed_process_left_is_wiped(tmp_path, source):
    faces = load_faces([source], 32, tmp_path / "cache")
    (entry,) = (path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    entry.rename(entry.with_suffix(".partial"))
    os.truncate(entry.with_suffix(".partial") / "images.bin", 10)
    assert load_faces([source], 32, tmp_path / "cache").digest == faces.digest
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()] == [entry.name]


def test_two_that_ask_at_once_build_once(tmp_path, source):
    started = threading.Barrier(2)
    builders = []

    def load(number):
        started.wait()
        return load_faces([source], 32, tmp_path / "cache", progress=lambda *_: builders.append(number)).digest

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(load, range(2))
    assert first == second
    assert len(set(builders)) == 1


def test_a_rendered_tree_is_known_by_its_mark(tmp_path):
    inner = tmp_path / "faces" / "children" / "train"
    inner.mkdir(parents=True)
    mark = tmp_path / "faces" / "synthetic.json"
    assert not is_synthetic(inner)
    mark.write_text(json.dumps({"complete": True}, indent=2))
    assert is_synthetic(inner)
    assert not is_synthetic(Path(tmp_path))
    mark.write_text(json.dumps({"complete": False}))
    with pytest.raises(DataError, match="interrupted"):
        is_synthetic(inner)

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
from fer_core.data.pixels import Pixels
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


def image(path, seed, side=40):
    grain = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(grain).resize((side, side)).save(path)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-200])


def test_a_set_is_decoded_once_and_then_opened(tmp_path, source):
    calls = []
    first = load_faces([source], 32, tmp_path / "cache", progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (21, 21)
    again = load_faces([source], 32, tmp_path / "cache", progress=lambda *_: pytest.fail("decoded again"))
    assert isinstance(again.images, Pixels)
    assert again.images.shape == (21, 32, 32, 3)
    assert again.size == 32
    assert (first.images[:] == again.images[:]).all()
    assert first.digest == again.digest
    assert again.class_counts.tolist() == [3] * 7
    assert set(again.subjects) == {"C00", "C01", "C02"}
    assert set(again.populations) == {"children"}
    assert not again.synthetic
    with pytest.raises(ValueError, match="read-only"):
        again.images[0][...] = 0


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
    with pytest.raises(DataError, match=r"none of the 21 photographs can be decoded; for one, .*truncated"):
        load_faces([source], 32, tmp_path / "cache")
    with pytest.raises(DataError, match="no data source"):
        load_faces([], 32, tmp_path / "cache")
    with pytest.raises(DataError, match="no such folder"):
        load_faces([DataSource(layout="cafe", path=tmp_path / "nowhere")], 32, tmp_path / "cache")


def test_images_without_a_subject_are_subjects_of_their_own(tmp_path, source):
    anonymous = source.model_copy(update={"subject_pattern": None, "duplicates": "keep"})
    faces = load_faces([anonymous, anonymous], 32, tmp_path / "cache")
    assert len(set(faces.subjects)) == len(faces) == 42


def test_annotations_reach_the_set(tmp_path):
    image(tmp_path / "1.png", 1)
    image(tmp_path / "2.png", 2)
    rows = "path,expression,age,split,group\n1.png,happy,7.5,train,A\n2.png,sad,,test,\n"
    (tmp_path / "faces.csv").write_text(rows)
    faces = load_faces([DataSource(layout="table", path=tmp_path, split="all", faces="centre")], 32, tmp_path / "c")
    assert faces.ages[0] == 7.5
    assert np.isnan(faces.ages[1])
    assert faces.splits.tolist() == ["train", "test"]
    assert faces.groups.tolist() == ["A", ""]
    assert faces.populations.tolist() == ["children", ""]
    taken = faces.take(np.array([1]))
    assert (taken.splits.tolist(), taken.labels.tolist()) == (["test"], [5])


@pytest.mark.parametrize("damage", ["shorten", "garble", "remove"])
def test_a_damaged_cache_is_built_again(tmp_path, source, damage):
    faces = load_faces([source], 32, tmp_path / "cache")
    (pixels,) = (tmp_path / "cache").glob("*/shard-*.bin")
    if damage == "shorten":
        os.truncate(pixels, 1000)
    elif damage == "garble":
        pixels.with_name("about.json").write_text("{")
    else:
        pixels.with_name("manifest.parquet").unlink()
    assert load_faces([source], 32, tmp_path / "cache").digest == faces.digest


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


def test_of_images_that_show_the_same_one_is_kept(tmp_path, source):
    original = source.path / "train" / "happy" / "C00_003.jpg"
    shutil.copy(original, source.path / "train" / "sad" / "copy.jpg")
    Image.open(original).resize((80, 64)).save(source.path / "train" / "happy" / "larger.jpg", quality=95)
    sources = [source.model_copy(update={"subject_pattern": None})]
    faces = load_faces(sources, 32, tmp_path / "cache")
    told = {Path(item.path).name: item for item in faces.duplicates}
    assert len(faces) == 21
    assert set(told) == {"copy.jpg", "larger.jpg"}
    assert (told["copy.jpg"].exact, told["copy.jpg"].conflicting) == (True, True)
    assert (told["larger.jpg"].exact, told["larger.jpg"].conflicting) == (False, False)
    assert {item.original for item in faces.duplicates} == {str(original)}
    assert not any(item.leaked for item in faces.duplicates)
    kept = [sources[0].model_copy(update={"duplicates": "keep"})]
    assert len(load_faces(kept, 32, tmp_path / "cache")) == 23


def test_no_face_that_judges_trains(tmp_path, source):
    judge = tmp_path / "judge" / "happy"
    judge.mkdir(parents=True)
    leaked = source.path / "train" / "happy" / "C00_003.jpg"
    shutil.copy(leaked, judge / "1.jpg")
    judges = DataSource(layout="folders", path=tmp_path / "judge")
    faces = load_faces([source], 32, tmp_path / "cache", apart_from=[judges])
    assert len(faces) == 20
    (duplicate,) = faces.duplicates
    assert (duplicate.path, duplicate.original, duplicate.leaked) == (str(leaked), str(judge / "1.jpg"), True)
    with pytest.raises(DataError, match="every image to train on"):
        load_faces([judges], 32, tmp_path / "cache", apart_from=[source])

"""fer-search compare: what A and B may be, that both see the same faces, and what is answered."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from fer_core import scoring
from fer_core.artifact import sha256_of
from fer_core.comparison import Comparison
from fer_core.data.faces import FaceSet
from fer_core.data.sources import DataSource
from fer_core.errors import DataError
from search import comparing
from search.cli import cli
from search.tables import SYNTHETIC


def faces_of(subjects=60, *, size=32, digest="d"):
    labels = np.tile(np.arange(7), subjects)
    who = np.repeat([f"s{index:03}" for index in range(subjects)], 7)
    return FaceSet(
        images=np.zeros((len(labels), size, size, 3), dtype=np.uint8),
        labels=labels,
        subjects=who,
        groups=np.where(who < f"s{subjects // 2:03}", "one", "two"),
        populations=np.full(len(labels), "children"),
        mouth_open=np.full(len(labels), -1, dtype=np.int8),
        digest=digest + str(size),
        synthetic=True,
    )


@pytest.fixture(name="models")
def _models(tmp_path, monkeypatch):
    """Two files: ``a.tflite`` is always right, ``b.tflite`` only for every second image; sizes as ``sizes`` says."""
    sizes = {"a.tflite": 32, "b.tflite": 32}

    def predict(path, images):
        labels = np.tile(np.arange(7), len(images))[: len(images)]
        wrong = (labels + (np.arange(len(labels)) % 2)) % 7
        return np.eye(7)[labels if path.name == "a.tflite" else wrong]

    monkeypatch.setattr(scoring, "predict", predict)
    monkeypatch.setattr(scoring, "input_size_of", lambda path: sizes[path.name])
    monkeypatch.setattr(
        comparing, "load_faces", lambda sources, size, _: faces_of(size=size, digest=sources[0].path.name)
    )
    for name in sizes:
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path, sizes


def call(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_two_files_on_named_faces(models):
    folder, _ = models
    a, b = folder / "a.tflite", folder / "b.tflite"
    told = json.loads(call("compare", a, b, "--data", "faces", "--json").stdout)
    assert told["synthetic_faces"] is True
    whole = Comparison.model_validate(told["whole"])
    assert (whole.images, whole.subjects, whole.only_first, whole.only_second) == (420, 60, 210, 0)
    assert whole.accuracy.value == pytest.approx(0.5)
    assert whole.macro_f1.resolved
    assert whole.gap is not None
    halves = [Comparison.model_validate(told[name]) for name in ("search half", "report half")]
    assert sum(half.images for half in halves) == whole.images
    text = call("compare", a, b, "--data", "faces").stdout
    assert "only the first right: 210 images, only the second: 0" in text
    assert "quote the report half" in text
    assert SYNTHETIC in text


def test_an_exported_folder_and_a_trial(models, make_study, outcomes, monkeypatch):
    folder, _ = models
    (folder / "out").mkdir()
    (folder / "out" / "model.tflite").write_bytes(b"exported")
    artifact = outcomes[1].artifact.model_copy(
        update={"path": folder / "b.tflite", "digest": sha256_of(folder / "b.tflite")}
    )
    outcomes[1] = outcomes[1].model_copy(update={"artifact": artifact})
    study = make_study(outcomes)
    monkeypatch.setenv("FER_STUDIES", str(study.path.parent))
    trial = comparing.contestant("demo:1", None, None)
    assert (trial.model, trial.source) == (folder / "b.tflite", study.config.data.evaluation)
    assert comparing.contestant(str(folder / "out"), trial.source, None).model == folder / "out" / "model.tflite"
    assert "trial 4 is failed" in call("compare", "demo:4", "demo:1").stderr
    assert "the file of trial 0 is gone" in call("compare", "demo:0", "demo:1").stderr
    assert "no trial 99" in call("compare", "demo:99", "demo:1").stderr


def test_a_name_that_is_nothing_is_refused_and_a_file_needs_faces(models):
    folder, _ = models
    answer = call("compare", folder / "a.tflite", folder / "b.tflite")
    assert answer.exit_code == 1
    assert "name them with --data" in answer.stderr
    assert "STUDY:TRIAL" in call("compare", folder / "c.tflite", folder / "b.tflite", "--data", "faces").stderr


def test_other_faces_are_refused_whatever_the_input_sizes(models):
    folder, sizes = models
    one, two = (DataSource(layout="cafe", path=folder / name) for name in ("one", "two"))
    first = comparing.Contestant("A", folder / "a.tflite", one)
    for size in (32, 48):
        sizes["b.tflite"] = size
        found, _ = comparing.contest(first, comparing.Contestant("B", folder / "b.tflite", one))
        assert found["whole"].images == 420
        with pytest.raises(DataError, match="different faces"):
            comparing.contest(first, comparing.Contestant("B", folder / "b.tflite", two))


def test_a_set_too_small_to_be_split_is_compared_whole(models):
    faces = faces_of(1)
    both = [comparing.Judged(name, faces, faces.labels) for name in "AB"]
    assert list(comparing.comparisons(*both)) == ["whole"]

"""What a scorecard holds, and what bad files do."""

import numpy as np
import pytest

from fer_core import scoring
from fer_core.artifact import sha256_of
from fer_core.data.faces import FaceSet
from fer_core.data.splits import halves
from fer_core.errors import UnreadableModelError
from fer_core.statistics import macro_f1, subject_confusions, unpack_counts


def faces_of(subjects, *, images_each=7):
    count = subjects * images_each
    names = np.repeat([f"s{index:03}" for index in range(subjects)], images_each)
    return FaceSet(
        images=np.zeros((count, 32, 32, 3), dtype=np.uint8),
        labels=np.tile(np.arange(7), count)[:count].astype(np.int64),
        subjects=names,
        groups=np.where(names < f"s{subjects // 2:03}", "one", "two"),
        populations=np.full(count, "children"),
        mouth_open=np.full(count, -1, dtype=np.int8),
        digest="d" * 64,
        synthetic=True,
    )


@pytest.fixture(name="model")
def _model(tmp_path, monkeypatch):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"weights")
    logits = lambda _, images, timeout: np.random.default_rng(0).normal(size=(len(images), 7))  # noqa: E731
    monkeypatch.setattr(scoring, "predict", logits)
    return path


def test_a_scorecard_keeps_search_and_report_apart(model):
    faces = faces_of(60)
    card = scoring.score(model, faces)
    predicted = scoring.predict(model, faces.images, timeout=1).argmax(axis=1)
    search, report = halves(faces.subjects, faces.groups, labels=faces.labels)
    for scores, mask in ((card.search, search), (card.report, report), (card.whole, search | report)):
        counts = subject_confusions(faces.labels[mask], predicted[mask], faces.subjects[mask])[1]
        assert scores.macro_f1 == macro_f1(counts.sum(axis=0))
        assert scores.subjects == len(np.unique(faces.subjects[mask]))
        assert [group.group for group in scores.groups] == ["one", "two"]
    packed = unpack_counts(card.subject_confusions)
    assert packed.sum(axis=0).tolist() == [list(row) for row in card.search.confusion]
    assert card.subject_groups == ("one",) * 15 + ("two",) * 15
    assert (card.model_digest, card.data_digest, card.synthetic) == (sha256_of(model), faces.digest, True)
    assert card == scoring.score(model, faces)


def test_open_and_closed_mouths_are_scored_apart_where_they_are_known(model):
    faces = faces_of(60)
    assert scoring.score(model, faces).whole.mouths == ()
    openness = np.tile(np.array([1, 0, -1], dtype=np.int8), len(faces))[: len(faces)]
    some = type(faces)(**{**vars(faces), "mouth_open": openness})
    card = scoring.score(model, some)
    predicted = scoring.predict(model, some.images, timeout=1).argmax(axis=1)
    assert [score.group for score in card.whole.mouths] == ["open", "closed"]
    for score, value in zip(card.whole.mouths, (1, 0), strict=True):
        mine = openness == value
        _, counts = subject_confusions(some.labels[mine], predicted[mine], some.subjects[mine])
        assert (score.images, score.macro_f1) == (mine.sum(), macro_f1(counts.sum(axis=0)))
        assert score.macro_f1_interval.low < score.macro_f1 < score.macro_f1_interval.high
    images = [sum(score.images for score in half.mouths) for half in (card.search, card.report, card.whole)]
    assert images[0] + images[1] == images[2]


def test_one_subject_cannot_be_split(model):
    card = scoring.score(model, faces_of(1))
    assert card.search is None
    assert card.report is None
    assert card.whole.subjects == 1
    assert unpack_counts(card.subject_confusions).sum() == 7


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UnreadableModelError, match="no such file"):
        scoring.input_size_of(tmp_path / "absent.tflite")


@pytest.mark.parametrize("content", [b"", b"this is no model", b"\x1c\x00\x00\x00TFL3" + b"\xff" * 200])
def test_garbage_is_one_line_and_costs_nobody_else(tmp_path, content):
    path = tmp_path / "garbage.tflite"
    path.write_bytes(content)
    with pytest.raises(UnreadableModelError) as caught:
        scoring.predict(path, np.zeros((1, 32, 32, 3), dtype=np.uint8), timeout=30)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)

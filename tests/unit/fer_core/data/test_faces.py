import numpy as np
import pytest

from fer_core.data.faces import FaceSet
from fer_core.errors import ConfigError


@pytest.fixture
def faces():
    return FaceSet(
        images=np.arange(6 * 2 * 2 * 3, dtype=np.uint8).reshape(6, 2, 2, 3),
        labels=np.array([0, 1, 1, 3, 6, 6]),
        subjects=np.array(list("aabbcc")),
        groups=np.array(["x", "x", "y", "y", "", ""]),
        populations=np.array(["children", "children", "adults", "adults", "", ""]),
        mouth_open=np.array([0, 1, -1, -1, -1, -1], dtype=np.int8),
        digest="d",
    )


def test_rows_are_taken_by_mask_and_by_index(faces):
    by_mask = faces.take(faces.labels == 1)
    by_index = faces.take(np.array([1, 2]))
    assert by_mask.subjects.tolist() == by_index.subjects.tolist() == ["a", "b"]
    assert (by_mask.images == faces.images[[1, 2]]).all()
    assert by_mask.digest == by_index.digest != faces.digest


def test_all_rows_are_the_set_itself(faces):
    assert faces.take(np.ones(6, dtype=bool)) is faces


def test_the_order_of_rows_is_kept_and_changes_the_digest(faces):
    back = faces.take(np.array([4, 0]))
    assert back.labels.tolist() == [6, 0]
    assert back.digest != faces.take(np.array([0, 4])).digest


def test_populations(faces):
    assert len(faces.of_population("all")) == 6
    assert faces.of_population("adults").subjects.tolist() == ["b", "b"]
    with pytest.raises(ConfigError, match="show no adults"):
        faces.of_population("children").of_population("adults")
    with pytest.raises(ConfigError, match="'everybody' is unknown"):
        faces.of_population("everybody")


def test_classes_are_counted_in_the_order_of_the_labels(faces):
    assert faces.class_counts.tolist() == [1, 2, 0, 1, 0, 0, 2]

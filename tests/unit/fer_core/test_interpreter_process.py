"""Batches are used where they change nothing: the same logits to the last digit, whatever stands beside an image."""

import numpy as np
import pytest

from fer_core import interpreter_process
from fer_core.interpreter_process import load, run

SIDE = 4


class FakeInterpreter:
    """A classifier whose first logit is the sum of the image; *batch_error* is added in batches."""

    batch_error = 0.0
    fixed = False
    batches: list = []

    def __init__(self, model_content, num_threads):
        assert (model_content, num_threads) == (b"file", 1)
        self.shape = (1, SIDE, SIDE, 3)

    def allocate_tensors(self):
        if self.fixed and self.shape[0] > 1:
            raise RuntimeError("the shape is fixed")

    def resize_tensor_input(self, _, shape):
        self.shape = tuple(shape)

    def get_input_details(self):
        return [{"index": 0, "name": "in", "dtype": np.float32, "shape": np.array([1, SIDE, SIDE, 3])}]

    def get_output_details(self):
        return [{"index": 1, "name": "out", "dtype": np.float32, "shape": np.array([1, 7])}]

    def set_tensor(self, _, values):
        assert values.shape == self.shape
        self.values = values

    def invoke(self):
        self.batches.append(len(self.values))

    def get_tensor(self, _):
        logits = np.zeros((len(self.values), 7), dtype=np.float32)
        logits[:, 0] = self.values.sum(axis=(1, 2, 3)) + self.batch_error * (len(self.values) > 1)
        return logits


@pytest.fixture(name="scored")
def _scored(monkeypatch, tmp_path):
    """A function that scores n images by a fake interpreter; it returns (images, logits)."""
    monkeypatch.setattr(interpreter_process, "Interpreter", FakeInterpreter)
    monkeypatch.setattr(interpreter_process, "_loaded", {})
    monkeypatch.setattr(interpreter_process, "_crew", {})
    monkeypatch.setattr(FakeInterpreter, "batches", [])
    model, file = tmp_path / "model.tflite", tmp_path / "images"
    model.write_bytes(b"file")

    def scored(count):
        images = np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
        images.tofile(file)
        assert load(model) == SIDE
        return images, run(file, images.shape)

    return scored


def right(images, logits):
    values = images.astype(np.float32) / np.float32(127.5) - np.float32(1)
    return np.allclose(logits[:, 0], values.sum(axis=(1, 2, 3)), atol=1e-4)


def test_many_images_go_in_batches_and_the_last_one_is_filled(scored):
    assert right(*scored(21))
    assert sorted(FakeInterpreter.batches) == [1] * 8 + [8] * 4


def test_a_file_is_examined_once(scored):
    scored(8)
    FakeInterpreter.batches.clear()
    assert right(*scored(16))
    assert FakeInterpreter.batches == [8, 8]


def test_few_images_go_one_by_one(scored):
    assert right(*scored(5))
    assert FakeInterpreter.batches == [1] * 5


@pytest.mark.parametrize(("name", "value"), [("batch_error", 1e-3), ("fixed", True)])
def test_a_file_that_batches_change_or_that_refuses_them_goes_one_by_one(scored, monkeypatch, name, value):
    monkeypatch.setattr(FakeInterpreter, name, value)
    assert right(*scored(21))
    FakeInterpreter.batches.clear()
    assert right(*scored(21))
    assert FakeInterpreter.batches == [1] * 21

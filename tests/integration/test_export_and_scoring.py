"""Real networks through the converter's process, run by LiteRT in the interpreter's."""

import os
import signal
import time
from typing import get_args

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from lively import lively
from torch import nn

import fer_core.export
from fer_core import scoring
from fer_core.artifact import sha256_of
from fer_core.compression.quantized_training import train_quantized
from fer_core.data.faces import FaceSet
from fer_core.errors import ConversionError, DataError, UnreadableModelError
from fer_core.export import Converter, to_artifact
from fer_core.integer.learned import fake_quantized
from fer_core.models.build import build
from fer_core.specs import ArchitectureName, ArchitectureSpec, CompressionSpec, TrainingSpec
from fer_core.training import recalibrate

pytestmark = pytest.mark.slow
SIDE = 64


@pytest.fixture(scope="module")
def converter():
    with Converter() as warm:
        yield warm


@pytest.fixture(scope="module")
def images():
    """Smooth random pictures: noise is unlike anything whose range a network can be calibrated for."""
    coarse = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(SIDE // 8, axis=1).repeat(SIDE // 8, axis=2)


def small_network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(8, 7)).eval()


def logits_of(model, images):
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        return model.eval()(pixels).numpy()


def export(converter, model, quantization, images, path):
    path.write_bytes(converter.convert(model, SIDE, quantization, images))
    return path


def test_one_graph_serves_every_quantization(converter, images, tmp_path):
    model = build(ArchitectureSpec(name="mobilenetv3_small_100", input_size=SIDE))
    expected = logits_of(model, images)
    spread = expected.std()
    limits = {"float32": 1e-4, "float16": 0.02, "dynamic_int8": 0.5, "int8": 1.0}
    sizes = {}
    for quantization, limit in limits.items():
        path = export(converter, model, quantization, images, tmp_path / f"{quantization}.tflite")
        sizes[quantization] = path.stat().st_size
        assert scoring.input_size_of(path) == SIDE
        assert scoring.operators_of(path) > 50
        assert np.abs(scoring.predict(path, images) - expected).max() / spread < limit
    assert sizes["float32"] > 1.9 * sizes["float16"] > 3.3 * sizes["dynamic_int8"]


@pytest.fixture
def calls(converter, monkeypatch):
    """The methods of the converter's process that are called."""
    made, call = [], converter._child.call

    def noted(method, *arguments, timeout):
        made.append(method)
        return call(method, *arguments, timeout=timeout)

    monkeypatch.setattr(converter._child, "call", noted)
    return made


@pytest.mark.parametrize("name", get_args(ArchitectureName))
def test_new_weights_of_a_known_graph_are_filled_in(converter, images, tmp_path, calls, monkeypatch, name):
    converter.convert(lively(name, 0), SIDE, "float32", images)
    calls.clear()
    monkeypatch.setattr("torch.onnx.export", None)  # torch's export would fail
    model = lively(name, 1)
    path = export(converter, model, "float32", images, tmp_path / "filled.tflite")
    assert calls == ["has", "convert"], "nothing was built"
    expected = logits_of(model, images)
    assert np.abs(scoring.predict(path, images) - expected).max() < 1e-4 * np.abs(expected).max()


def test_nasnet_in_full_integers_does_not_abort_the_interpreter(converter, images, tmp_path):
    model = lively("nasnet_mobile", 2)
    path = export(converter, model, "int8", images, tmp_path / "nasnet.tflite")
    assert np.isfinite(scoring.predict(path, images[:2])).all()
    operators = [detail["op_name"] for detail in Interpreter(model_path=str(path))._get_ops_details()]
    assert "MAX_POOL_2D" in operators
    assert "TRANSPOSE" not in operators


def test_a_file_that_was_filled_in_computes_what_one_built_for_its_weights_does(
    converter, images, tmp_path, calls, monkeypatch
):
    name, path, found = "mobilenetv3_small_100", tmp_path / "model.tflite", {}
    for quantization in ("float32", "float16", "dynamic_int8", "int8"):
        converter.convert(lively(name, 0), SIDE, quantization, images)
        calls.clear()
        filled = scoring.predict(export(converter, lively(name, 1), quantization, images, path), images)
        assert calls == ["has", "convert"]
        found[quantization] = filled
    monkeypatch.setattr("fer_core.export.CAPACITY", 0)  # as for a graph whose weights cannot be numbered
    calls.clear()
    for quantization, filled in found.items():
        own = scoring.predict(export(converter, lively(name, 1), quantization, images, path), images)
        assert np.array_equal(own, filled), quantization
    assert calls.count("build") == 1


def test_an_artifact_is_written_whole_and_scored_alike_every_time(converter, images, tmp_path):
    architecture, compression = ArchitectureSpec(name="nasnet_mobile", input_size=SIDE), CompressionSpec()
    path = tmp_path / "new" / "model.tflite"
    artifact = to_artifact(small_network(), architecture, compression, images, converter, path)
    assert artifact.size == path.stat().st_size
    assert artifact.digest == sha256_of(path)
    assert [entry.name for entry in path.parent.iterdir()] == ["model.tflite"]

    first = scoring.predict(path, images)
    assert np.array_equal(first, np.concatenate([scoring.predict(path, image[None]) for image in images]))
    assert np.allclose(first, logits_of(small_network(), images), atol=1e-5)
    faces = FaceSet(
        images=images,
        labels=np.arange(24) % 7,
        subjects=np.arange(24).astype(str),
        groups=np.full(24, ""),
        populations=np.full(24, "children"),
        mouth_open=np.full(24, -1, dtype=np.int8),
        digest="d",
    )
    card = scoring.score(path, faces)
    scoring._interpreter.close()
    assert scoring.score(path, faces) == card


def test_the_same_network_gives_the_same_file(converter, images):
    once = converter.convert(small_network(), SIDE, "int8", images)
    converter.convert(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 7)), SIDE, "float32", images)
    assert converter.convert(small_network(), SIDE, "int8", images) == once


def test_integer_ranges_are_those_of_usual_images(converter, images):
    """The input is 127 x value; one image in thirty does not widen the other ranges, twenty do."""
    brightness = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 7, bias=False))
    nn.init.constant_(brightness[2].weight, 1.0)
    dim = np.full((30, SIDE, SIDE, 3), 133, dtype=np.uint8)
    scales = {}
    for bright in (0, 1, 20):
        calibration = dim.copy()
        calibration[:bright] = 255
        content = converter.convert(brightness.eval(), SIDE, "int8", calibration)
        interpreter = Interpreter(model_content=content)
        scale, zero = interpreter.get_input_details()[0]["quantization"]
        assert (scale, zero) == (pytest.approx(1 / 127), 0)
        scales[bright] = interpreter.get_output_details()[0]["quantization"][0]
    assert scales[1] == scales[0] < scales[20] / 10


def test_a_dead_converter_is_replaced(converter, images):
    before = converter.convert(small_network(), SIDE, "float32", images)
    os.kill(converter._child.pid, signal.SIGKILL)
    time.sleep(0.5)
    assert converter.convert(small_network(), SIDE, "float32", images) == before


def test_what_cannot_be_converted_says_why(converter, images):
    class Unsupported(nn.Module):
        def forward(self, x):
            return torch.linalg.qr(x.mean(dim=1))[0][:, 0, :7]

    with pytest.raises(ConversionError, match="linalg_qr"):
        converter.convert(Unsupported(), SIDE, "float32", images)
    with pytest.raises(ConversionError, match="calibration images have the shape"):
        converter.convert(small_network(), SIDE, "int8", images[:, :32])


@pytest.mark.parametrize("quantization", ["float32", "float16", "int8"])
def test_a_file_that_computes_something_else_is_refused(converter, images, monkeypatch, quantization):
    image, logits = fer_core.export._probe(small_network(), SIDE)
    monkeypatch.setattr("fer_core.export._probe", lambda *_: (image, logits + 0.1))
    with pytest.raises(ConversionError, match=r"its logits differ by 0\.1"):
        converter.convert(small_network(), SIDE, quantization, images)


def test_files_that_are_cut_or_no_classifier_are_refused(converter, images, tmp_path):
    path = export(converter, small_network(), "float32", images, tmp_path / "cut.tflite")
    whole = path.read_bytes()
    with pytest.raises(DataError, match="64 px"):
        scoring.predict(path, images[:, :32, :32])
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(UnreadableModelError, match=r"cut\.tflite"):
            scoring.predict(path, images)
    path.write_bytes(whole)
    assert scoring.predict(path, images).shape == (24, 7)
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(UnreadableModelError, match=r"expected .* to \(1, 7\)"):
        scoring.predict(export(converter, other.eval(), "float32", images, tmp_path / "other.tflite"), images)


def test_learned_ranges_reach_the_file_and_a_network_without_them_is_refused(converter, images, tmp_path):
    model = build(ArchitectureSpec(name="mobilenetv3_small_100", input_size=SIDE), seed=0).eval()
    with pytest.raises(ConversionError, match="no learned activation ranges"):
        converter.convert(model, SIDE, "int8_qat", images)
    count = len(images)
    faces = FaceSet(
        images=images,
        labels=np.arange(count) % 7,
        subjects=np.arange(count).astype(str),
        groups=np.full(count, ""),
        populations=np.full(count, ""),
        mouth_open=np.full(count, -1, dtype=np.int8),
        digest="smooth",
    )
    recalibrate(model, faces, batch_size=8)
    spec = CompressionSpec(quantization="int8_qat", qat_epochs=1, calibration_images=16)
    trained = train_quantized(model, spec, TrainingSpec(batch_size=8), faces)
    path = export(converter, trained, "int8_qat", images, tmp_path / "qat.tflite")
    assert input_and_output_types(path) == {np.dtype("int8")}
    expected = logits_of(fake_quantized(trained, SIDE), images)
    found = scoring.predict(path, images)
    assert np.abs(found - expected).max() < 0.25 * np.abs(expected).max(), "the file computes what training saw"
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.95


def input_and_output_types(path):
    interpreter = Interpreter(model_path=str(path))
    return {
        np.dtype(detail["dtype"]) for detail in (*interpreter.get_input_details(), *interpreter.get_output_details())
    }

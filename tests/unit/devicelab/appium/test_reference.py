"""The canary's network: one file everywhere, readable, 19 ms on a Moto G6."""

import hashlib

import pytest

from devicelab.drivers.appium.reference import CHANNELS, LAYERS, SIDE, reference_network
from devicelab.graph import read_graph
from devicelab.roofline import latency_ms


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "reference.tflite"
    path.write_bytes(reference_network())
    return path


def test_it_is_the_same_everywhere():
    assert hashlib.sha256(reference_network()).hexdigest().startswith("aebd0bd4")


def test_it_computes_and_hardly_moves(path):
    graph = read_graph(path)
    assert sum(operator.macs for operator in graph.operators) == LAYERS * SIDE**2 * CHANNELS**2
    assert latency_ms(graph.operators, threads=1) == pytest.approx(19.0, abs=0.1)
    assert latency_ms(graph.operators, threads=1, mhz=1401.6) == pytest.approx(19.0 * 1804.8 / 1401.6, rel=0.01)


def test_the_runtime_of_phones_runs_it(path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    (image,) = interpreter.get_input_details()
    interpreter.set_tensor(image["index"], reference_image(image["shape"]))
    interpreter.invoke()
    (result,) = interpreter.get_output_details()
    values = interpreter.get_tensor(result["index"])
    assert tuple(values.shape) == (1, SIDE, SIDE, CHANNELS)
    assert 0.1 < values.mean() < 10


def reference_image(shape):
    import numpy as np

    return np.ones(shape, np.float32)

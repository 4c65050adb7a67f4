"""The device lab on what the project really exports: the anchor of 90 ms, and one graph for all weights."""

from typing import get_args

import numpy as np
import pytest
import torch

from devicelab.config import LabConfig, SimulatedPhone
from devicelab.graph import read_graph
from devicelab.lab import Lab
from devicelab.measurement import Workload
from devicelab.roofline import latency_ms
from fer_core.compression.compress import shape
from fer_core.export import Converter
from fer_core.models.build import build
from fer_core.specs import ArchitectureName, ArchitectureSpec, CompressionSpec

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def converter():
    torch.set_num_threads(1)
    with Converter() as warm:
        yield warm


def _as_after_training(model):
    """No two layers alike, no bias zero, nine weights in ten pruned."""
    generator = torch.Generator().manual_seed(1)
    for name, values in [*model.named_buffers(), *model.named_parameters()]:
        if name.endswith("running_var"):
            values.uniform_(0.5, 2.0, generator=generator)
        elif name.endswith(("running_mean", "bias")):
            values.data.normal_(0.0, 0.2, generator=generator)
        elif values.ndim > 1:
            values.data *= torch.rand(values.shape, generator=generator) < 0.1


@pytest.fixture
def export(converter, tmp_path):
    def write(name, size, quantization, *, trained=False, **compression):
        model = build(ArchitectureSpec(name=name, input_size=size), seed=trained)
        if trained:
            _as_after_training(model)
        shape(model, CompressionSpec(**compression)).eval()
        images = np.random.default_rng(int(trained)).integers(0, 256, (4, size, size, 3), dtype=np.uint8)
        path = tmp_path / f"{name}-{size}-{quantization}-{trained}.tflite"
        path.write_bytes(converter.convert(model, size, quantization, images))
        return path

    return write


def test_mobilenet_v3_large_takes_90_ms_on_one_thread(export, tmp_path):
    path = export("mobilenetv3_large_100", 224, "float32")
    operators = read_graph(path).operators
    assert latency_ms(operators, threads=1) == pytest.approx(90.0, rel=0.01)
    assert latency_ms(operators, threads=4) == pytest.approx(34.6, rel=0.03)
    phones = tuple(SimulatedPhone(name=name, noise="silent", factor_sd=0) for name in "ab")
    with Lab(LabConfig(devices=phones), tmp_path / "lab.sqlite") as lab:
        assert lab.measure(Workload.of(path, 1)).median_ms == pytest.approx(90.0, rel=0.01)


def test_quantizations_differ_and_weights_do_not(export):
    kinds = ("float32", "float16", "dynamic_int8", "int8")
    one, other = (
        [read_graph(export("mobilenetv3_small_100", 96, kind, trained=trained)) for kind in kinds]
        for trained in (False, True)
    )
    assert [graph.fingerprint for graph in one] == [graph.fingerprint for graph in other]
    assert len({graph.fingerprint for graph in one}) == 4
    float32, float16, dynamic, int8 = (latency_ms(graph.operators, threads=1) for graph in one)
    assert float32 == float16 > dynamic > int8


@pytest.mark.parametrize("name", get_args(ArchitectureName))
def test_removed_channels_make_one_smaller_graph_whatever_the_weights(export, name):
    half = {"pruning": "structured", "pruning_ratio": 0.5}
    one, other = (read_graph(export(name, 48, "float32", trained=trained, **half)) for trained in (False, True))
    assert one.fingerprint == other.fingerprint
    whole = read_graph(export(name, 48, "float32"))
    assert one.macs < 0.6 * whole.macs
    smaller, larger = (latency_ms(graph.operators, threads=1) for graph in (one, whole))
    assert smaller < 0.85 * larger

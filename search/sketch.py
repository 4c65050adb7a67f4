"""What a candidate will take on the phone, without exporting it: the roofline over an outline of its network.

Milliseconds per candidate, for a look before a study starts (``fer-search plan``). The roofline's processor is a Moto
G6's; ``DOUBT`` is how far the sketch is from the roofline over the exported file. Nothing in a study is decided by it.
"""

import functools
from typing import NamedTuple

from devicelab.operators import Operator
from devicelab.roofline import latency_ms
from fer_core.models.outline import Layer, outline
from fer_core.specs import ArchitectureName, CompressionSpec, Quantization
from search.candidate import Candidate

DOUBT = 0.12
"""Nine in ten sketches are this near to the roofline over the exported file (benchmarks/latency_predictor.py)."""
WEIGHT_BYTES: dict[Quantization, int] = {"float32": 4, "float16": 2, "dynamic_int8": 1, "int8": 1}
"""Bytes of a weight in the file."""

OPERATOR_BYTES = 700
"""What an operator takes in the file beside its weights: names, shapes, scales. Fitted to exported files."""


class Sketch(NamedTuple):
    """Milliseconds of one inference, and the size of the .tflite in units of 10^6 bytes."""

    latency_ms: float
    size_mb: float


def sketch(candidate: Candidate) -> Sketch:
    """Return what *candidate* will take, nearly."""
    architecture = candidate.architecture
    graph = candidate.compression.of_graph
    return _sketch(architecture.name, architecture.input_size, graph, candidate.deployment.threads)


def outlined(candidate: Candidate) -> tuple[Operator, ...]:
    """Return the operators of *candidate* as they will run, nearly."""
    architecture = candidate.architecture
    return _outlined(architecture.name, architecture.input_size, candidate.compression.of_graph)


@functools.lru_cache(maxsize=4096)
def _sketch(architecture: ArchitectureName, input_size: int, compression: CompressionSpec, threads: int) -> Sketch:
    layers = outline(architecture, input_size)
    weights = sum(layer.weights * _weights_kept(layer, compression) for layer in layers)
    return Sketch(
        latency_ms=latency_ms(_outlined(architecture, input_size, compression), threads=threads),
        size_mb=(weights * WEIGHT_BYTES[compression.quantization] + OPERATOR_BYTES * len(layers)) / 1e6,
    )


@functools.lru_cache(maxsize=4096)
def _outlined(architecture: ArchitectureName, input_size: int, compression: CompressionSpec) -> tuple[Operator, ...]:
    return tuple(_operator(layer, compression) for layer in outline(architecture, input_size))


def _operator(layer: Layer, compression: CompressionSpec) -> Operator:
    """Return *layer* as it will run; how quantizations run is told in ``devicelab.graph``."""
    channels = 1 - compression.pruning_ratio if compression.pruning == "structured" else 1.0
    kept = _weights_kept(layer, compression)
    full = compression.quantization == "int8"
    hybrid = compression.quantization == "dynamic_int8" and layer.kind != "depthwise" and layer.weights > 0
    element = 1 if full else 4
    own_copy = 2 * layer.inputs if hybrid else 0  # the integers that it makes of its input, written and read
    return Operator(
        code=layer.kind.upper(),
        kind=layer.kind,
        macs=round(layer.macs * kept),
        input_bytes=round((layer.inputs * element + own_copy) * channels),
        output_bytes=round(layer.outputs * element * channels),
        weight_bytes=round(layer.weights * kept * (1 if full or hybrid else 4)),
        arithmetic="integer" if full or hybrid else "float",
    )


def _weights_kept(layer: Layer, compression: CompressionSpec) -> float:
    """Return the share of *layer*'s weights that structured pruning leaves; its first and last layers lose less."""
    if compression.pruning != "structured":
        return 1.0
    channels = 1 - compression.pruning_ratio
    return channels if layer.kind == "depthwise" else channels**2

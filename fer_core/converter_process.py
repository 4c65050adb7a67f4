"""The process that owns TensorFlow: ONNX in, .tflite out. Nothing else of this project imports TensorFlow.

The fast route: onnx2tf builds a Keras model in memory (no SavedModel, no files), one traced function of it is kept,
and each quantization is one run of TensorFlow's converter on that function. All this happens once per graph, with
numbered weights; what comes out is a template, and a network is its weights filled in (``fer_core.reuse``).
"""

import contextlib
import gc
import json
import math
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx2tf
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.python.schema_py_generated import BuiltinOperator
from tensorflow.lite.tools import flatbuffer_utils

from fer_core.child import serve
from fer_core.integer.ranges import INPUT_RANGE, USUAL_SHARE, LearnedRanges, grids_of, moments
from fer_core.layout import channels_last
from fer_core.reuse.constants import constants_of
from fer_core.reuse.numbering import Weights
from fer_core.reuse.template import Template
from fer_core.specs import Quantization

_SAME_GRID = {
    BuiltinOperator.PAD,
    BuiltinOperator.PADV2,
    BuiltinOperator.RESHAPE,
    BuiltinOperator.TRANSPOSE,
    BuiltinOperator.SLICE,
    BuiltinOperator.STRIDED_SLICE,
    BuiltinOperator.CONCATENATION,
    BuiltinOperator.MAX_POOL_2D,
    BuiltinOperator.AVERAGE_POOL_2D,
}
"""Operators whose float inputs and output have one scale and zero point in LiteRT's specification."""

_KEPT = 5
"""Graphs whose templates are kept: every network once. A template takes about twice the bytes of its file."""

PARITY = 1e-3
"""Largest difference between the logits of a network and of its float32 file, relative to the largest one from 1 on.

Float rounding makes 1e-5 (``docs/conversion.md``).
"""

type Probe = tuple[NDArray[np.float32], NDArray[np.float32]]
"""An image (1, side, side, 3) in [-1, 1] and the logits (1, classes) that the network has for it."""


@dataclass(slots=True)
class _Graph:
    """What is kept of a graph: its templates by quantization, and its weights if they were numbered."""

    numbered: Weights | None
    templates: dict[str, Template] = field(default_factory=dict)


_graphs: OrderedDict[str, _Graph] = OrderedDict()
_built: dict[str, Any] = {}


def has(digest: str, quantization: Quantization) -> bool:
    """Return whether the graph *digest* can be converted to *quantization* without being built (again)."""
    if digest in _graphs:
        _graphs.move_to_end(digest)
        return _built.get("digest") == digest or _form(quantization) in _graphs[digest].templates
    return False


def build(digest: str, onnx_model: bytes, numbered: Weights | None) -> None:
    """Translate *onnx_model*, a serialised ONNX graph, and keep it for ``convert`` under the name *digest*.

    With *numbered* weights in it the graph serves all weights, without it serves those that it has. The graph built
    before is forgotten, its templates are not.
    """
    _built.clear()
    tf_keras.backend.clear_session()
    gc.collect()
    with _scratch():
        Path("model.onnx").write_bytes(onnx_model)
        Path("layout.json").write_text(json.dumps(channels_last(onnx_model)), encoding="utf-8")
        model = onnx2tf.convert(
            input_onnx_file_path="model.onnx",
            output_folder_path="unused",
            param_replacement_file="layout.json",
            tflite_backend="tf_converter",
            disable_model_save=True,
            not_use_onnxsim=True,
            non_verbose=True,
            verbosity="error",
        )
    signature = [tf.TensorSpec(tensor.shape, tensor.dtype, tensor.name) for tensor in model.inputs]
    traced = tf.function(lambda images: model(images), input_signature=signature)  # noqa: PLW0108 - a Model is no function
    _built.update(model=model, function=traced.get_concrete_function(), digest=digest)
    _graphs.setdefault(digest, _Graph(numbered))
    _graphs.move_to_end(digest)
    while len(_graphs) > _KEPT:
        _graphs.popitem(last=False)


@contextlib.contextmanager
def _scratch() -> Iterator[None]:
    """Work in a folder that vanishes; onnx2tf leaves hundreds of arrays in the current and the temporary folder."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = None


def convert(
    digest: str, weights: Weights, probe: Probe, quantization: Quantization, calibration: NDArray[np.uint8]
) -> bytes | None:
    """Return the .tflite of the graph *digest* with *weights*; ``None`` if they have no places of their own in it.

    *calibration* is (n, side, side, 3), used by ``"int8"`` alone.

    Raises:
        ValueError: before it was quantized, the file computes other logits than the network did for *probe*.
    """
    graph = _graphs[digest]
    content = _with_weights(graph, weights, quantization, calibration[:1])
    if content is None:
        return None
    whole = (
        content if quantization in {"float32", "int8"} else _with_weights(graph, weights, "float32", calibration[:1])
    )
    if whole is None:
        return None
    _check_parity(whole, probe)
    return _integer(content, calibration) if quantization == "int8" else content


def _check_parity(content: bytes, probe: Probe) -> None:
    """Refuse a float32 .tflite that does not return the logits of *probe*; logits that are not finite ask for none."""
    image, expected = probe
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    if not np.isfinite(expected).all():
        return  # the network diverged: scoring says so
    difference = float(np.abs(found - expected).max()) if found.shape == expected.shape else math.inf
    if not difference <= PARITY * max(1.0, float(np.abs(expected).max())):  # so that NaN is refused too
        raise ValueError(
            f"the .tflite does not compute what the network computes: its logits differ by {difference:g}, "
            f"the largest is {np.abs(expected).max():g}"
        )


def _with_weights(
    graph: _Graph, weights: Weights, quantization: Quantization, image: NDArray[np.uint8]
) -> bytes | None:
    """Return the file of *graph* with *weights*: float, or of weights quantized; with ranges for an integer one."""
    if graph.numbered is None:
        return _converted(quantization, image)
    form = _form(quantization)
    if form not in graph.templates:
        known = None
        if form in {"float16", "dynamic_int8"}:
            if _with_weights(graph, weights, "float32", image) is None:
                return None
            known = graph.templates["float32"]
        content = _converted(quantization, image)
        template = Template.of(content, tuple(constants_of(content)), graph.numbered, known)
        if template is None:
            return None
        graph.templates[form] = template
    return graph.templates[form].filled(weights)


def _form(quantization: Quantization) -> str:
    return "ranges" if quantization in {"int8", "int8_qat"} else quantization


def _converted(quantization: Quantization, image: NDArray[np.uint8]) -> bytes:
    """Return the graph built last as TensorFlow's converter writes it: for integers, as float32 with ranges.

    The ranges are the extremes over the one *image*. TensorFlow's own calibration takes the extremes over all images,
    too wide a range. It runs here for the graph alone; its ranges are replaced before the graph is quantized.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions([_built["function"]])
    if quantization != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if _form(quantization) == "ranges":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        converter.representative_dataset = lambda: _network_inputs(image)
        converter._experimental_calibrate_only = True  # noqa: SLF001 - the only way to choose ranges
    return bytes(converter.convert())


def _integer(ready: bytes, calibration: NDArray[np.uint8]) -> bytes:
    """Return the full-integer .tflite of *ready*, float32 with ranges; its ranges become those of ``usual_range``."""
    graph = _opened(ready)
    tensors = graph.subgraphs[0].tensors
    ranged = [index for index, tensor in enumerate(tensors) if _has_one_range(tensor)]
    extremes = _observed(graph, ranged, calibration)[:, :, :2]
    for index, (low, high) in zip(ranged, usual_range(extremes), strict=True):
        tensors[index].quantization.min, tensors[index].quantization.max = [low], [high]
    for index in graph.subgraphs[0].inputs:
        tensors[index].quantization.min, tensors[index].quantization.max = [INPUT_RANGE[0]], [INPUT_RANGE[1]]
    return _quantized(graph)


def convert_learned(digest: str, weights: Weights, probe: Probe, learned: LearnedRanges) -> bytes | None:
    """Return the full-integer .tflite of ``convert`` with the ranges that the network has *learned* in torch.

    Raises:
        ValueError: as for ``convert``; a tensor has no learned range, a learned range no tensor, or LiteRT's quantizer
            chose another.
    """
    ready = _with_weights(_graphs[digest], weights, "int8_qat", learned.probes[:1])
    if ready is None:
        return None
    _check_parity(ready, probe)
    graph = _opened(ready)
    tensors = graph.subgraphs[0].tensors
    ranged = [index for index, tensor in enumerate(tensors) if _has_one_range(tensor)]
    found = _observed(graph, ranged, learned.probes).swapaxes(0, 1)
    groups = _sharing(graph, ranged)
    grids = grids_of(found, [[ranged.index(index) for index in group] for group in groups], learned)
    if strays := [group[0] for group, grid in zip(groups, grids, strict=True) if grid is None]:
        names = ", ".join(tensors[index].name.decode() for index in strays[:3])
        raise ValueError(f"{len(strays)} tensors were not seen in quantization-aware training: {names}")
    if unused := set(range(len(learned.ranges))) - set(grids):
        raise ValueError(f"{len(unused)} learned ranges of {len(learned.ranges)} belong to no tensor")
    expected = {}
    for group, grid in zip(groups, grids, strict=True):
        low, high = learned.ranges[grid].tolist()
        for index in group:
            tensors[index].quantization.min, tensors[index].quantization.max = [low], [high]
            expected[tensors[index].name] = (high - low) / 255
    content = _quantized(graph)
    _check_scales(content, expected)
    return content


def _check_scales(content: bytes, expected: dict[bytes, float]) -> None:
    """Refuse a .tflite in which a tensor of a name in *expected* has another scale than that."""
    tensors = _opened(content).subgraphs[0].tensors
    scales = {tensor.name: float(tensor.quantization.scale[0]) for tensor in tensors if tensor.name in expected}
    wrong = [name for name, scale in scales.items() if not math.isclose(scale, expected[name], rel_tol=1e-3)]
    if wrong:
        name = wrong[0]
        raise ValueError(
            f"{len(wrong)} tensors are not quantized as learned, the first is {name.decode()}: "
            f"scale {scales[name]:g} instead of {expected[name]:g}"
        )


def _opened(content: bytes) -> Any:  # noqa: ANN401 - a generated flatbuffer class
    return flatbuffer_utils.read_model_from_bytearray(bytearray(content))


def _quantized(graph: Any) -> bytes:  # noqa: ANN401 - a generated flatbuffer class
    ready = bytes(flatbuffer_utils.convert_object_to_bytearray(graph))
    return bytes(mlir_quantize(ready, fully_quantize=True, input_data_type=tf.int8, output_data_type=tf.int8))


def _sharing(graph: Any, ranged: list[int]) -> list[list[int]]:  # noqa: ANN401 - a generated flatbuffer class
    """Return the tensors *ranged* of *graph*, those together that an operator forces to share one grid."""
    leader = {index: index for index in ranged}

    def find(index: int) -> int:
        while leader[index] != index:
            index = leader[index]
        return index

    for operation in graph.subgraphs[0].operators:
        code = graph.operatorCodes[operation.opcodeIndex]
        if max(code.builtinCode, code.deprecatedBuiltinCode) in _SAME_GRID:
            for index in (*operation.inputs, *operation.outputs):
                if index in leader:
                    leader[find(index)] = find(operation.outputs[0])
    groups: dict[int, list[int]] = {}
    for index in ranged:
        groups.setdefault(find(index), []).append(index)
    return list(groups.values())


def usual_range(extremes: NDArray[np.floating], share: float = USUAL_SHARE) -> list[tuple[float, float]]:
    """Return one (low, high) per tensor from its *extremes* (images, tensors, 2), the minimum and maximum per image.

    ``high`` is the quantile *share* over images of the images' maxima, ``low`` the quantile 1 - *share* of their
    minima; 0 always lies within.
    """
    low = np.minimum(np.quantile(extremes[:, :, 0], 1 - share, axis=0), 0.0)
    high = np.maximum(np.quantile(extremes[:, :, 1], share, axis=0), 0.0)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def _has_one_range(tensor: Any) -> bool:  # noqa: ANN401 - a generated flatbuffer class
    ranges = tensor.quantization
    return ranges is not None and ranges.min is not None and len(ranges.min) == 1


def _observed(graph: Any, tensors: list[int], images: NDArray[np.uint8]) -> NDArray[np.float64]:  # noqa: ANN401
    """Return the ``moments`` of each of *tensors* in each of *images* (n, side, side, 3): (n, tensors, 5)."""
    interpreter = tf.lite.Interpreter(
        model_content=bytes(flatbuffer_utils.convert_object_to_bytearray(graph)),
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    found = np.empty((len(images), len(tensors), 5))
    for row, batch in zip(found, _network_inputs(images), strict=True):
        interpreter.set_tensor(source, batch[0])
        interpreter.invoke()
        for cell, index in zip(row, tensors, strict=True):
            cell[:] = moments(interpreter.get_tensor(index))
    return found


def _network_inputs(images: NDArray[np.uint8]) -> Iterator[list[NDArray[np.float32]]]:
    for image in images:
        yield [image[None].astype(np.float32) / np.float32(127.5) - np.float32(1)]


if __name__ == "__main__":
    serve({"has": has, "build": build, "convert": convert, "convert_learned": convert_learned})

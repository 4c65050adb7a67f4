"""The process that owns TensorFlow: ONNX in, .tflite out. Nothing else of this project imports TensorFlow.

The fast route: onnx2tf builds a Keras model in memory (no SavedModel, no files), one traced function of it is kept,
and each quantization is one run of TensorFlow's converter on that function.
"""

import contextlib
import gc
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx2tf
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.tools import flatbuffer_utils

from fer_core.child import serve
from fer_core.specs import Quantization

USUAL_SHARE = 0.9
"""Activation ranges cover the extremes of this share of the calibration images.

A few images drive activations 20 times as high as the others do; ranges that cover them leave the others with a dozen
of the 256 levels. Measured on trained networks at 64 px, argmax agreement of int8 with torch (+-0.006) for shares
1 / 0.95 / 0.9 / 0.8: MobileNetV3-Small 0.870 / 0.954 / 0.944 / 0.950, MobileNetV2 0.979 / 0.983 / 0.980 / 0.983,
EfficientNet-B0 0.967 / 0.975 / 0.983 / 0.968. A percentile of single values and a least-squares fit did worse.
"""

INPUT_RANGE = (-128 / 127, 1.0)
"""Makes the int8 input round(127 x value). Its 255 levels lie between pixels at one place only, in the middle; with the
range (-1, 1) every pixel value lies half-way between two levels, and rounding merges them in pairs."""

_built: dict[str, Any] = {}


def build(onnx_model: bytes) -> None:
    """Translate *onnx_model*, a serialised ONNX graph, and keep it for ``convert``; forgets the one before."""
    _built.clear()
    tf_keras.backend.clear_session()
    gc.collect()
    with _scratch():
        Path("model.onnx").write_bytes(onnx_model)
        model = onnx2tf.convert(
            input_onnx_file_path="model.onnx",
            output_folder_path="unused",
            tflite_backend="tf_converter",
            disable_model_save=True,
            not_use_onnxsim=True,
            non_verbose=True,
            verbosity="error",
        )
    signature = [tf.TensorSpec(tensor.shape, tensor.dtype, tensor.name) for tensor in model.inputs]
    _built["model"] = model
    traced = tf.function(lambda images: model(images), input_signature=signature)  # noqa: PLW0108 - a Model is no function
    _built["function"] = traced.get_concrete_function()


@contextlib.contextmanager
def _scratch() -> Iterator[None]:
    """Work in a folder that vanishes; onnx2tf leaves hundreds of arrays in the current and the temporary folder."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = None


def convert(quantization: Quantization, calibration: NDArray[np.uint8]) -> bytes:
    """Return the .tflite of the graph built last. *calibration* is (n, side, side, 3), used by ``"int8"`` alone."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([_built["function"]])
    if quantization != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantization == "int8":
        return _integer(converter, calibration)
    return bytes(converter.convert())


def _integer(converter: Any, calibration: NDArray[np.uint8]) -> bytes:  # noqa: ANN401 - TensorFlow has no types
    """Return the full-integer .tflite whose activation ranges are those of ``usual_range``.

    TensorFlow's own calibration takes the extremes over all images. It runs here on one image, for the graph alone;
    the ranges that it noted are replaced before the graph is quantized.
    """
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter.representative_dataset = lambda: _network_inputs(calibration[:1])
    converter._experimental_calibrate_only = True  # noqa: SLF001 - the only way to choose ranges
    graph = flatbuffer_utils.read_model_from_bytearray(bytearray(converter.convert()))
    tensors = graph.subgraphs[0].tensors
    ranged = [index for index, tensor in enumerate(tensors) if _has_one_range(tensor)]
    extremes = _extremes(bytes(flatbuffer_utils.convert_object_to_bytearray(graph)), ranged, calibration)
    for index, (low, high) in zip(ranged, usual_range(extremes), strict=True):
        tensors[index].quantization.min, tensors[index].quantization.max = [low], [high]
    for index in graph.subgraphs[0].inputs:
        tensors[index].quantization.min, tensors[index].quantization.max = [INPUT_RANGE[0]], [INPUT_RANGE[1]]
    ready = bytes(flatbuffer_utils.convert_object_to_bytearray(graph))
    return bytes(mlir_quantize(ready, fully_quantize=True, input_data_type=tf.int8, output_data_type=tf.int8))


def usual_range(extremes: NDArray[np.float32], share: float = USUAL_SHARE) -> list[tuple[float, float]]:
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


def _extremes(model: bytes, tensors: list[int], images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the minimum and maximum of each of *tensors* in each of *images* (n, side, side, 3): (n, tensors, 2)."""
    interpreter = tf.lite.Interpreter(
        model_content=model,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    found = np.empty((len(images), len(tensors), 2), dtype=np.float32)
    for row, batch in zip(found, _network_inputs(images), strict=True):
        interpreter.set_tensor(source, batch[0])
        interpreter.invoke()
        for cell, index in zip(row, tensors, strict=True):
            values = interpreter.get_tensor(index)
            cell[:] = values.min(), values.max()
    return found


def _network_inputs(images: NDArray[np.uint8]) -> Iterator[list[NDArray[np.float32]]]:
    for image in images:
        yield [image[None].astype(np.float32) / np.float32(127.5) - np.float32(1)]


if __name__ == "__main__":
    serve({"build": build, "convert": convert})

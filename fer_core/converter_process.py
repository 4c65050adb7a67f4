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

from fer_core.child import serve
from fer_core.specs import Quantization

_built: dict[str, Any] = {}


def build(onnx_model: bytes) -> None:
    """Translate *onnx_model*, a serialised ONNX graph, and keep it for ``convert``; forgets the one before."""
    _built.clear()
    tf_keras.backend.clear_session()
    gc.collect()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
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


def convert(quantization: Quantization, calibration: NDArray[np.uint8]) -> bytes:
    """Return the .tflite of the graph built last. *calibration* is (n, side, side, 3), used by ``"int8"`` alone."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([_built["function"]])
    if quantization != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantization == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        converter.representative_dataset = lambda: _network_inputs(calibration)
    return bytes(converter.convert())


def _network_inputs(images: NDArray[np.uint8]) -> Iterator[list[NDArray[np.float32]]]:
    for image in images:
        yield [image[None].astype(np.float32) / np.float32(127.5) - np.float32(1)]


if __name__ == "__main__":
    serve({"build": build, "convert": convert})

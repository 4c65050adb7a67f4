"""From a trained network to a .tflite file, fast: torch > ONNX here, ONNX > TFLite in a warm child process.

TensorFlow lives in the child alone. It takes seconds to import, cannot share a process with torchvision when loaded
first, and may crash on a graph that it does not like: all of that stays in ``fer_core.converter_process``.
"""

import hashlib
import io
import os
import re
import tempfile
import threading
import warnings
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import onnx
import onnxsim
import torch
from numpy.typing import NDArray
from torch import nn

from fer_core.artifact import Artifact, sha256_of
from fer_core.child import Child, ChildError
from fer_core.errors import ConversionError
from fer_core.integer.learned import learned_ranges
from fer_core.models.exportable import exportable
from fer_core.specs import ArchitectureSpec, CompressionSpec, Quantization

_OPSET = 17
_QUIET_CPU = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0"}
"""The child needs no accelerator (it must not take memory from training) and prints nothing but errors."""


class Converter:
    """Turns networks into .tflite files in a child process that stays warm; a context manager.

    The child is started on entry and imports TensorFlow meanwhile. It is replaced when it dies or exceeds
    *timeout* seconds for one call. The graph converted last is kept in it: converting one network to several
    quantizations in a row builds the graph once. Threads may share a converter; calls run one after another.
    """

    def __init__(self, timeout: float = 300.0) -> None:
        self._child = Child("fer_core.converter_process", _QUIET_CPU)
        self._timeout = timeout
        self._lock = threading.Lock()
        self._built: tuple[int, str] | None = None

    def __enter__(self) -> Self:
        self._child.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child process."""
        self._child.close()

    def cpu_seconds(self) -> float:
        """Return the CPU time, in seconds, that the child process has used since its start."""
        return self._child.cpu_seconds()

    def convert(
        self, model: nn.Module, input_size: int, quantization: Quantization, calibration: NDArray[np.uint8]
    ) -> bytes:
        """Return *model* as the bytes of a .tflite with *quantization*.

        The file maps (1, input_size, input_size, 3), NHWC RGB, pixel / 127.5 - 1, to 7 logits. It is float32 at both
        ends, and int8 by its own quantization parameters for ``"int8"``, whose activation ranges come from
        *calibration*, uint8 (n, input_size, input_size, 3). ``"int8_qat"`` takes the ranges that *model* has learned
        (``fer_core.compression.quantized_training``) and *calibration* only to recognise tensors; other quantizations
        do not look at it.

        Raises:
            ConversionError: an operator cannot be converted, the child died or took too long; *model* has learned no
                ranges, or they do not fit the tensors that LiteRT quantizes.
        """
        integer = quantization in {"int8", "int8_qat"}
        expected = (len(calibration), input_size, input_size, 3)
        if integer and (calibration.shape != expected or not len(calibration)):
            raise ConversionError(
                f"calibration images have the shape {calibration.shape}; {quantization} export at {input_size} px "
                f"needs (n, {input_size}, {input_size}, 3) with n >= 1"
            )
        graph = onnx_bytes(model, input_size)
        images = np.ascontiguousarray(calibration if integer else calibration[:0])
        learned = learned_ranges(model, images) if quantization == "int8_qat" else None
        with self._lock:
            try:
                self._build(graph)
                if learned:
                    return bytes(self._child.call("convert_learned", learned, timeout=self._timeout))
                return bytes(self._child.call("convert", quantization, images, timeout=self._timeout))
            except ChildError as error:
                hint = _operator_hint(self._child.log())
                raise ConversionError(f"{quantization} export failed: {error}{hint}") from error

    def _build(self, graph: bytes) -> None:
        digest = hashlib.sha256(graph).hexdigest()
        if self._child.pid is None or self._built != (self._child.starts, digest):
            self._built = None
            self._child.call("build", graph, timeout=self._timeout)
            self._built = self._child.starts, digest


def onnx_bytes(model: nn.Module, input_size: int) -> bytes:
    """Return *model*, rewritten for converters and simplified, as a serialised ONNX graph with a fixed input.

    The input is (1, 3, input_size, input_size). *model* is left untouched.

    Raises:
        ConversionError: torch cannot express an operator in ONNX, or the graph cannot be simplified.
    """
    stream = io.BytesIO()
    example = torch.zeros(1, 3, input_size, input_size)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch announces its other exporter, which takes 15 times as long
            torch.onnx.export(
                exportable(model, input_size),
                (example,),
                stream,  # type: ignore[arg-type]  # torch's annotation forgot streams, which it documents
                dynamo=False,
                opset_version=_OPSET,
                input_names=["images"],
                output_names=["logits"],
            )
        simplified, same = onnxsim.simplify(onnx.load_from_string(stream.getvalue()))
    except Exception as error:
        raise ConversionError(f"torch to ONNX failed: {_first_line(error)}") from error
    if not same:
        raise ConversionError("the simplified ONNX graph does not compute what the original computes")
    return bytes(simplified.SerializeToString())


def to_artifact(  # noqa: PLR0917 - the order of the journey: what, from which specs, by which means, to where
    model: nn.Module,
    architecture: ArchitectureSpec,
    compression: CompressionSpec,
    calibration: NDArray[np.uint8],
    converter: Converter,
    path: Path,
) -> Artifact:
    """Convert *model* as *compression* asks, write the .tflite to *path* and return it as a value.

    The file appears complete or not at all. *calibration* is as for ``Converter.convert``.

    Raises:
        ConversionError: see ``Converter.convert``.
    """
    content = converter.convert(model, architecture.input_size, compression.quantization, calibration)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as stream:
        temporary = Path(stream.name)
        try:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    return Artifact(
        path=path,
        digest=sha256_of(path),
        size=len(content),
        input_size=architecture.input_size,
        quantization=compression.quantization,
    )


def _operator_hint(log: str) -> str:
    """Return what the child's *log* says about the operator that failed, as a suffix of a message, or ""."""
    for line in reversed(log.splitlines()):
        found = re.search(r"(onnx_op_name|onnx_op_type|onnx_op|failed to legalize operation)\W.*", line)
        if found:
            return f" [{found.group(0).strip()[:200]}]"
    return ""


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"

"""From a trained network to a .tflite file, fast: torch > ONNX here, ONNX > TFLite in a warm child process.

TensorFlow lives in the child alone. It takes seconds to import, cannot share a process with torchvision when loaded
first, and may crash on a graph that it does not like: all of that stays in ``fer_core.converter_process``.
"""

import copy
import io
import os
import re
import tempfile
import threading
import warnings
from collections import OrderedDict
from hashlib import sha256
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
from fer_core.integer.ranges import LearnedRanges
from fer_core.models.exportable import absorb_borders, absorb_followers, absorb_gates, absorb_norms, exportable
from fer_core.reuse.numbering import CAPACITY, Parts, Weights, numbers, put_together, take_apart
from fer_core.reuse.outline import Outline, modules_of
from fer_core.specs import ArchitectureSpec, CompressionSpec, Quantization

_OPSET = 17
_KEPT = 20
"""Outlines of graphs that are kept; one takes less than a megabyte."""
_SKIPPED = ["fuse_pad_into_pool"]
"""LiteRT has no pooling that counts padding: onnx2tf turns one such pooling into nine operators, and computes something
else where a feature map has 2 or 3 pixels a side."""
_QUIET_CPU = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0"}
"""The child needs no accelerator (it must not take memory from training) and prints nothing but errors."""


class Converter:
    """Turns networks into .tflite files in a child process that stays warm; a context manager.

    The child is started on entry and imports TensorFlow meanwhile. It is replaced when it dies or exceeds
    *timeout* seconds for one call. Graphs are kept in it, the last few: other quantizations of a network and other
    weights of its graph need none built. Threads may share a converter; calls run one after another.
    """

    def __init__(self, timeout: float = 300.0) -> None:
        self._child = Child("fer_core.converter_process", _QUIET_CPU)
        self._timeout = timeout
        self._lock = threading.Lock()
        self._fixed: set[str] = set()  # graphs in which new weights cannot be filled in
        self._outlines: OrderedDict[str, Outline | None] = OrderedDict()

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
            ConversionError: an operator cannot be converted, the child died or took too long; the float32 form of the
                file computes other logits than *model*; *model* has learned no ranges, or they do not fit the tensors
                that LiteRT quantizes.
        """
        integer = quantization in {"int8", "int8_qat"}
        expected = (len(calibration), input_size, input_size, 3)
        if integer and (calibration.shape != expected or not len(calibration)):
            raise ConversionError(
                f"calibration images have the shape {calibration.shape}; {quantization} export at {input_size} px "
                f"needs (n, {input_size}, {input_size}, 3) with n >= 1"
            )
        rewritten = _rewritten(model, input_size, learned=quantization == "int8_qat")
        probe = _probe(model, input_size)
        images = np.ascontiguousarray(calibration if integer else calibration[:0])
        learned = learned_ranges(model, images) if quantization == "int8_qat" else None
        with self._lock:
            parts = self._parts(rewritten, input_size)
            try:
                return self._filled(parts, probe, quantization, images, learned)
            except ChildError as error:
                hint = _operator_hint(self._child.log())
                raise ConversionError(f"{quantization} export failed: {error}{hint}") from error

    def _parts(self, model: nn.Module, input_size: int) -> Parts:
        """Return the ONNX graph of *model*, rewritten for converters, taken apart; known modules are not exported."""
        key = f"{input_size} {modules_of(model)}"
        if key not in self._outlines:
            self._outlines[key] = Outline.of(model, lambda numbered: _onnx(numbered, input_size))
        self._outlines.move_to_end(key)
        outline = self._outlines[key]
        while len(self._outlines) > _KEPT:
            self._outlines.popitem(last=False)
        return outline.parts(model) if outline else take_apart(_onnx(model, input_size))

    def _filled(
        self,
        parts: Parts,
        probe: tuple[Weights, Weights],
        quantization: Quantization,
        images: NDArray[np.uint8],
        learned: LearnedRanges | None,
    ) -> bytes:
        """Return the .tflite of *parts*: its graph is built with numbered weights, or with its own where that fails."""
        own = sha256(parts.weights).hexdigest() + parts.digest
        fixed = parts.digest in self._fixed or len(parts.weights) > CAPACITY
        for name in (own,) if fixed else (parts.digest, own):
            if not self._child.call("has", name, quantization, timeout=self._timeout):
                numbered = numbers(parts.shapes) if name == parts.digest else None
                graph = _simplified(put_together(parts, parts.weights if numbered is None else numbered))
                self._child.call("build", name, graph, numbered, timeout=self._timeout)
            method, asked = ("convert_learned", (learned,)) if learned else ("convert", (quantization, images))
            content = self._child.call(method, name, parts.weights, probe, *asked, timeout=self._timeout)
            if content is not None:
                return bytes(content)
            self._fixed.add(parts.digest)
        raise AssertionError  # a graph with its own weights needs no places for others


@torch.inference_mode()
def _probe(model: nn.Module, input_size: int) -> tuple[Weights, Weights]:
    """Return an image of noise, (1, side, side, 3), and the logits (1, classes) that *model* has for it."""
    image = torch.rand(1, 3, input_size, input_size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    logits = copy.deepcopy(model).cpu().eval()(image)
    return image.permute(0, 2, 3, 1).contiguous().numpy(), logits.numpy()


def onnx_bytes(model: nn.Module, input_size: int) -> bytes:
    """Return *model*, rewritten for converters and simplified, as a serialised ONNX graph with a fixed input.

    The input is (1, 3, input_size, input_size). *model* is left untouched.

    Raises:
        ConversionError: torch cannot express an operator in ONNX, or the graph cannot be simplified.
    """
    return _simplified(_onnx(_rewritten(model, input_size, learned=False), input_size))


def _rewritten(model: nn.Module, input_size: int, *, learned: bool) -> nn.Module:
    """Return a copy of *model* for converters, with each tensor that has a range where ranges were *learned*."""
    rewritten = absorb_borders(absorb_gates(exportable(model, input_size)))
    if not learned:
        absorb_norms(rewritten)
    return absorb_followers(rewritten, input_size)


def _onnx(rewritten: nn.Module, input_size: int) -> bytes:
    """Return the ONNX graph as torch writes it."""
    stream = io.BytesIO()
    example = torch.zeros(1, 3, input_size, input_size)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch announces its other exporter, which takes 15 times as long
            torch.onnx.export(
                rewritten,
                (example,),
                stream,  # type: ignore[arg-type]  # torch's annotation forgot streams, which it documents
                dynamo=False,
                opset_version=_OPSET,
                input_names=["images"],
                output_names=["logits"],
            )
    except Exception as error:
        raise ConversionError(f"torch to ONNX failed: {_first_line(error)}") from error
    return stream.getvalue()


def _simplified(graph: bytes) -> bytes:
    try:
        simplified, same = onnxsim.simplify(onnx.load_from_string(graph), skipped_optimizers=_SKIPPED)
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

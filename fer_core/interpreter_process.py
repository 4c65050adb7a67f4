"""The process that runs .tflite files under LiteRT: a file that aborts the interpreter ends this process only.

One interpreter per core, each on one thread of its own, takes eight images at a time. The logits of an image depend on
the file and the image alone, never on its neighbours in a batch, on the number of cores, or on how the work was split:
once per file a batch of noise is computed one by one too, and a file for which this is not the same to the last digit
goes on one by one. Measured on two cores (``benchmarks/scoring.py``): batches save 5 to 30 % of the CPU time.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from fer_core.child import serve
from fer_core.labels import EXPRESSIONS

_BATCH = 8
"""Images at a time: 16 are no faster."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A file, its interpreter of single images, its input and output, and the input of each pixel value (256,)."""

    content: bytes
    single: Any
    source: dict[str, Any]
    sink: dict[str, Any]
    values: NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Crew:
    """Interpreters of the same file, one per core, which take *batch* images at a time."""

    interpreters: tuple[Any, ...]
    batch: int


_loaded: dict[str, _Loaded] = {}
_crew: dict[str, _Crew] = {}


def load(path: Path) -> int:
    """Load the .tflite at *path* for ``run`` and return the side of its square input in pixels."""
    content = path.read_bytes()
    if "model" in _loaded and _loaded["model"].content == content:
        return int(_loaded["model"].source["shape"][1])
    _loaded.clear()
    _crew.clear()
    single = _interpreter(content)
    sources, sinks = single.get_input_details(), single.get_output_details()
    if len(sources) != 1 or len(sinks) != 1:
        raise ValueError(f"it has {len(sources)} inputs and {len(sinks)} outputs; a classifier has one of each")
    source, sink = sources[0], sinks[0]
    side = int(source["shape"][1]) if len(source["shape"]) == 4 else 0
    if tuple(source["shape"]) != (1, side, side, 3) or tuple(sink["shape"]) != (1, len(EXPRESSIONS)):
        shapes = f"{tuple(source['shape'].tolist())} to {tuple(sink['shape'].tolist())}"
        raise ValueError(f"it maps {shapes}; expected (1, side, side, 3) to (1, {len(EXPRESSIONS)})")
    for tensor in (source, sink):
        if tensor["dtype"] not in (np.float32, np.int8):
            raise ValueError(f"its tensor {tensor['name']!r} is {tensor['dtype'].__name__}; expected float32 or int8")
    pixels = np.arange(256, dtype=np.float32) / np.float32(127.5) - np.float32(1)
    _loaded["model"] = _Loaded(content, single, source, sink, _quantized(pixels, source))
    return side


def _interpreter(content: bytes, shape: tuple[int, ...] = ()) -> Any:  # noqa: ANN401 - LiteRT has no types
    """Return an interpreter of *content*, on one thread, whose input has another *shape* than the file's."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    if shape:
        interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], shape)
    interpreter.allocate_tensors()
    return interpreter


def run(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the logits (n, 7) float32 of the images at *path*, uint8 of *shape*, by the file loaded last."""
    images = np.memmap(path, np.uint8, mode="r", shape=shape)
    model = _loaded["model"]
    if len(images) < _BATCH:
        return _computed(model, _Crew((model.single,), 1), images)
    if "model" not in _crew:
        _crew["model"] = _crew_for(model)
    return _computed(model, _crew["model"], images)


def _crew_for(model: _Loaded) -> _Crew:
    """Return interpreters of *model* that take batches, if a batch of noise has the same logits one by one."""
    images = np.random.default_rng(0).integers(0, 256, (_BATCH, *model.source["shape"][1:]), dtype=np.uint8)
    cores = range(len(os.sched_getaffinity(0)))
    alone = _computed(model, _Crew((model.single,), 1), images)
    try:
        crew = _Crew(tuple(_interpreter(model.content, images.shape) for _ in cores), len(images))
        if np.array_equal(_computed(model, crew, images), alone):
            return crew
    except (RuntimeError, ValueError):  # a graph whose shapes are fixed
        pass
    return _Crew((model.single, *(_interpreter(model.content) for _ in cores[1:])), 1)


def _computed(model: _Loaded, crew: _Crew, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the logits (n, 7) float32 of *images* by *crew*; images of the last batch are repeated to fill it."""
    logits = np.empty((len(images), len(EXPRESSIONS)), dtype=np.float32)
    todo = iter(range(0, len(images), crew.batch))  # shared: next() of a range is atomic, so each batch is taken once

    def work(interpreter: Any) -> None:  # noqa: ANN401 - LiteRT has no types
        for start in todo:
            chosen = np.minimum(np.arange(start, start + crew.batch), len(images) - 1)
            interpreter.set_tensor(model.source["index"], np.take(model.values, images[chosen]))
            interpreter.invoke()  # without the interpreter lock of Python, so that threads run side by side
            found = _dequantized(interpreter.get_tensor(model.sink["index"]), model.sink)
            logits[start : start + crew.batch] = found[: len(images) - start]

    with ThreadPoolExecutor(len(crew.interpreters)) as pool:
        list(pool.map(work, crew.interpreters))
    return logits


def operators() -> int:
    """Return how many operators the graph of the file loaded last has, delegates left out."""
    details = _loaded["model"].single._get_ops_details()  # noqa: SLF001 - the only listing that LiteRT offers
    return sum(detail["op_name"] != "DELEGATE" for detail in details)


def _quantized(values: NDArray[np.float32], tensor: dict[str, Any]) -> NDArray[Any]:
    if tensor["dtype"] == np.float32:
        return values
    scale, zero = tensor["quantization"]
    whole: NDArray[Any] = np.clip(np.round(values / np.float32(scale)) + zero, -128, 127).astype(np.int8)
    return whole


def _dequantized(values: NDArray[Any], tensor: dict[str, Any]) -> NDArray[np.float32]:
    if tensor["dtype"] == np.float32:
        return values.astype(np.float32)
    scale, zero = tensor["quantization"]
    real: NDArray[np.float32] = (values.astype(np.float32) - np.float32(zero)) * np.float32(scale)
    return real


if __name__ == "__main__":
    serve({"load": load, "run": run, "operators": operators})

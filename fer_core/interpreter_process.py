"""The process that runs .tflite files under LiteRT: a file that aborts the interpreter ends this process only.

One interpreter per core, each on one thread of its own, takes one image at a time. So the logits of an image depend on
the file and the image alone, never on its neighbours in a batch, on the number of cores, or on how the work was split.
Measured on two cores (``benchmarks/scoring.py``): batches of 32 gain nothing that two interpreters do not, and would
tie the last digits to the batch.
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


@dataclass(frozen=True, slots=True)
class _Loaded:
    """Interpreters of the same file, its input and output, and the input value of each pixel value (256,)."""

    interpreters: tuple[Any, ...]
    source: dict[str, Any]
    sink: dict[str, Any]
    values: NDArray[Any]


_loaded: dict[str, _Loaded] = {}


def load(path: Path) -> int:
    """Load the .tflite at *path* for ``run`` and return the side of its square input in pixels."""
    _loaded.clear()
    content = path.read_bytes()
    first = _interpreter(content)
    sources, sinks = first.get_input_details(), first.get_output_details()
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
    others = [_interpreter(content) for _ in range(1, len(os.sched_getaffinity(0)))]
    pixels = np.arange(256, dtype=np.float32) / np.float32(127.5) - np.float32(1)
    _loaded["model"] = _Loaded((first, *others), source, sink, _quantized(pixels, source))
    return side


def _interpreter(content: bytes) -> Any:  # noqa: ANN401 - LiteRT has no types
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the logits (n, 7) float32 of *images* (n, side, side, 3) by the file loaded last."""
    model = _loaded["model"]
    logits = np.empty((len(images), len(EXPRESSIONS)), dtype=np.float32)
    todo = iter(range(len(images)))  # shared: next() of a range is atomic, so every image is taken once

    def work(interpreter: Any) -> None:  # noqa: ANN401 - LiteRT has no types
        for index in todo:
            interpreter.set_tensor(model.source["index"], model.values[images[index]][None])
            interpreter.invoke()  # without the interpreter lock of Python, so that threads run side by side
            logits[index] = _dequantized(interpreter.get_tensor(model.sink["index"]), model.sink)[0]

    with ThreadPoolExecutor(len(model.interpreters)) as pool:
        list(pool.map(work, model.interpreters))
    return logits


def operators() -> int:
    """Return how many operators the graph of the file loaded last has, delegates left out."""
    details = _loaded["model"].interpreters[0]._get_ops_details()  # noqa: SLF001 - the only listing that LiteRT offers
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

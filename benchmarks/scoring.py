"""How fast are files scored, against the loop that everybody writes first, in the same run?

    python benchmarks/scoring.py

The naive loop is one interpreter with LiteRT's defaults: normalise an image, set_tensor, invoke, get_tensor. Both are
fed the same images, in turns; each figure is the best of several. They must return the same logits to the last digit.
CPU time per image tells, even on a machine that is busy, what the way to the interpreter costs: cores are what the rest
of a ratio comes from, and on n idle cores it cannot exceed n x (CPU naive / CPU ours). About 2 minutes.
"""

import os
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import get_args

import click
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from fer_core import scoring
from fer_core.export import Converter
from fer_core.models.build import build
from fer_core.specs import ARCHITECTURE_TITLES, ArchitectureName, ArchitectureSpec, Quantization

GOAL = 3.0
NUMERICS: tuple[Quantization, ...] = ("float32", "int8")
HEADER = f"{'network':24}{'numerics':>10}{'naive/s':>9}{'ours/s':>9}{'ratio':>7}{'naive us':>10}{'ours us':>10}  (CPU)"


def naive(path: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the logits (n, 7) of *images* by one interpreter, image after image."""
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    source, sink = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    found = []
    for image in images:
        values = image[None].astype(np.float32) / np.float32(127.5) - np.float32(1)
        if source["dtype"] == np.int8:
            scale, zero = source["quantization"]
            values = np.clip(np.round(values / np.float32(scale)) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], values)
        interpreter.invoke()
        logits = interpreter.get_tensor(sink["index"])
        if sink["dtype"] == np.int8:
            scale, zero = sink["quantization"]
            logits = (logits.astype(np.float32) - np.float32(zero)) * np.float32(scale)
        found.append(logits[0])
    return np.array(found)


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return the wall and the CPU seconds of *work*, those of the scoring process included."""
    child = scoring._interpreter  # noqa: SLF001 - nobody else wants its CPU time
    wall, cpu = time.perf_counter(), time.process_time() + child.cpu_seconds()
    work()
    return time.perf_counter() - wall, time.process_time() + child.cpu_seconds() - cpu


@click.command()
@click.option("--images", "count", default=600, show_default=True)
@click.option("--side", default=96, show_default=True)
@click.option("--repeats", default=3, show_default=True)
def main(count: int, side: int, repeats: int) -> None:
    """Export, run both, print images per second and their ratio."""
    torch.set_num_threads(1)
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    ratios = []
    print(f"{count} images at {side} px on {os.cpu_count()} cores\n{HEADER}")
    with tempfile.TemporaryDirectory() as folder, Converter() as converter:
        path = Path(folder) / "model.tflite"
        for name, quantization in product(get_args(ArchitectureName), NUMERICS):
            model = build(ArchitectureSpec(name=name, input_size=side)).eval()
            ratios.append(compare(model, name, quantization, images, repeats, converter, path))
    print(
        f"ratios {min(ratios):.1f} to {max(ratios):.1f}   goal {GOAL:g}   {'met' if min(ratios) >= GOAL else 'MISSED'}"
    )


def compare(  # noqa: PLR0917 - what, how, on what, with what
    model: torch.nn.Module,
    name: ArchitectureName,
    quantization: Quantization,
    images: NDArray[np.uint8],
    repeats: int,
    converter: Converter,
    path: Path,
) -> float:
    """Print one line and return how many times as fast as the naive loop ``scoring.predict`` is."""
    path.write_bytes(converter.convert(model, images.shape[1], quantization, images[:8]))
    if not np.array_equal(naive(path, images[:100]), scoring.predict(path, images[:100])):
        raise SystemExit(f"{name} {quantization}: the two ways return different logits")
    runs = [
        (seconds(lambda: naive(path, images)), seconds(lambda: scoring.predict(path, images))) for _ in range(repeats)
    ]
    (slow, slow_cpu), (fast, fast_cpu) = (np.array(times).min(axis=0) for times in zip(*runs, strict=True))
    per_image = 1e6 / len(images)
    print(
        f"{ARCHITECTURE_TITLES[name]:24}{quantization:>10}{len(images) / slow:9.0f}{len(images) / fast:9.0f}"
        f"{slow / fast:7.1f}{per_image * slow_cpu:10.0f}{per_image * fast_cpu:10.0f}",
        flush=True,
    )
    return float(slow / fast)


if __name__ == "__main__":
    main()

"""What does a candidate's export cost in the warm converter, against ``onnx2tf`` started as a command, in the same run?

    python benchmarks/export_cost.py

Each network is exported as float32 three times. First by the command ``onnx2tf --tflite_backend tf_converter``, which
imports TensorFlow and writes a SavedModel, float32 and float16. Then by the warm converter with two sets of weights in
turn: *first* is a graph that the converter has not seen, *again* the same graph with new weights. What the command is
given, an ONNX file, is made outside its time; the time of the warm converter includes making it. CPU seconds tell on a
busy machine too. About 8 minutes on 2 idle cores.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import click
import numpy as np
import torch

from fer_core.export import Converter, onnx_bytes
from fer_core.models.build import build
from fer_core.specs import ARCHITECTURE_TITLES, ArchitectureName, ArchitectureSpec

GOAL_RATIO = 10.0
GOAL_CPU_SECONDS = 3.0
COLUMNS = ("command s", "CPU s", "first s", "CPU s", "again s", "CPU s", "ratio", "CPU ratio")
HEADER = f"{'network':24}" + "".join(f"{column:>11}" for column in COLUMNS)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a piece of work took, in seconds."""

    wall: float
    cpu: float


def cost_of(work: Callable[[], object], cpu: Callable[[], float]) -> Cost:
    """Return the cost of *work*; *cpu* counts CPU seconds from any origin."""
    wall, used = time.perf_counter(), cpu()
    work()
    return Cost(time.perf_counter() - wall, cpu() - used)


def command_cost(graph: bytes, folder: Path) -> Cost:
    """Return the cost of one ``onnx2tf`` command on the ONNX *graph*, its imports included."""
    source = folder / "model.onnx"
    source.write_bytes(graph)
    binaries = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [str(binaries / "onnx2tf"), "-i", str(source), "-o", str(folder / "out"), "-tb", "tf_converter", "-n"]
    return cost_of(
        lambda: subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True), _ended_children
    )


def _ended_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def warm_cost(name: ArchitectureName, side: int, seed: int, converter: Converter) -> Cost:
    """Return the cost of exporting *name*, with the weights of *seed*, by the warm converter."""
    model = build(ArchitectureSpec(name=name, input_size=side), seed=seed).eval()
    nothing = np.empty((0, side, side, 3), dtype=np.uint8)
    return cost_of(
        lambda: converter.convert(model, side, "float32", nothing),
        lambda: time.process_time() + converter.cpu_seconds(),
    )


def line_of(name: ArchitectureName, command: Cost, first: Cost, again: Cost) -> str:
    """Return one line of the table."""
    seconds = (command.wall, command.cpu, first.wall, first.cpu, again.wall, again.cpu)
    cells = (*seconds, command.wall / again.wall, command.cpu / again.cpu)
    return f"{ARCHITECTURE_TITLES[name]:24}" + "".join(f"{cell:11.1f}" for cell in cells)


@click.command()
@click.option("--side", default=96, show_default=True, help="Side of the input in pixels.")
@click.option("--network", "names", multiple=True, type=click.Choice(get_args(ArchitectureName)), help="Default: all.")
def main(side: int, names: tuple[ArchitectureName, ...]) -> None:
    """Export by both ways, print the seconds and their ratio."""
    torch.set_num_threads(1)
    ratios, spent = [], []
    print(f"float32 at {side} px on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n{HEADER}")
    with Converter() as converter:
        converter.cpu_seconds()  # waits until TensorFlow is there
        for name in names or get_args(ArchitectureName):
            graph = onnx_bytes(build(ArchitectureSpec(name=name, input_size=side)).eval(), side)
            with tempfile.TemporaryDirectory() as folder:
                command = command_cost(graph, Path(folder))
            first, again = (warm_cost(name, side, seed, converter) for seed in (0, 1))
            print(line_of(name, command, first, again), flush=True)
            ratios.append(command.cpu / again.cpu)
            spent.append(again.cpu)
    met = min(ratios) >= GOAL_RATIO and max(spent) <= GOAL_CPU_SECONDS
    print(
        f"least CPU ratio {min(ratios):.1f} (goal {GOAL_RATIO:g}), most CPU seconds for a graph seen before "
        f"{max(spent):.1f} (goal {GOAL_CPU_SECONDS:g}): {'met' if met else 'MISSED'}"
    )


if __name__ == "__main__":
    main()

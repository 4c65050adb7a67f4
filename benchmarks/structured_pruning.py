"""Measure what structured pruning gains: parameters, MACs, bytes and simulated latency of the five networks.

    python benchmarks/structured_pruning.py

Every network is exported untrained, whole and with channels removed, in the same run: how many channels stay depends
on neither weights nor training, so the graphs are those of trained networks. Latency is the silent roofline model of
the simulated Moto G6. The goal at ratio 0.5: 40 % fewer MACs and 25 % less latency for every network. About 2 minutes.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import click
import numpy as np
import torch

from devicelab.graph import read_graph
from devicelab.roofline import latency_ms
from fer_core.compression.compress import shape
from fer_core.export import Converter
from fer_core.models.build import build
from fer_core.specs import ARCHITECTURE_TITLES, ArchitectureName, ArchitectureSpec, CompressionSpec, Quantization

RATIOS = (0.0, 0.3, 0.5, 0.6)
GOAL_RATIO, GOAL_MACS, GOAL_LATENCY = 0.5, 0.40, 0.25
HEADER = (
    f"{'network':24}{'ratio':>6}{'parameters':>12}{'MMACs':>8}{'bytes':>12}{'ms, 1 thread':>14}{'ms, 4 threads':>14}"
    f"{'MACs':>8}{'1 thread':>10}{'4 threads':>10}"
)


@dataclass(frozen=True)
class Row:
    """One network at one ratio."""

    ratio: float
    parameters: int
    macs: int
    size: int
    one: float
    four: float

    def saved(self, whole: "Row") -> tuple[float, float, float]:
        """Return the shares of MACs and of latency on 1 and 4 threads that are saved against *whole*."""
        return 1 - self.macs / whole.macs, 1 - self.one / whole.one, 1 - self.four / whole.four


def rows(name: ArchitectureName, side: int, quantization: Quantization, converter: Converter) -> Iterator[Row]:
    """Export *name* at each ratio and read its graph."""
    images = np.random.default_rng(0).integers(0, 256, (8, side, side, 3), dtype=np.uint8)
    for ratio in RATIOS:
        spec = CompressionSpec(pruning="structured" if ratio else "none", pruning_ratio=ratio)
        model = shape(build(ArchitectureSpec(name=name, input_size=side)), spec).eval()
        content = converter.convert(model, side, quantization, images)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.tflite"
            path.write_bytes(content)
            graph = read_graph(path)
        yield Row(
            ratio=ratio,
            parameters=sum(tensor.numel() for tensor in model.parameters()),
            macs=graph.macs,
            size=len(content),
            one=latency_ms(graph.operators, threads=1),
            four=latency_ms(graph.operators, threads=4),
        )


@click.command()
@click.option("--side", default=96, show_default=True, help="Side of the input in pixels.")
@click.option(
    "--quantization",
    type=click.Choice([each for each in get_args(Quantization) if each != "int8_qat"]),
    default="float32",
    show_default=True,
)
def main(side: int, quantization: Quantization) -> None:
    """Export, read, print the table, and say whether the goal is met."""
    torch.set_num_threads(1)
    missed = []
    print(f"{quantization} at {side} px; latency is SIMULATED (Moto G6)\n{HEADER}")
    with Converter() as converter:
        for name in get_args(ArchitectureName):
            whole = None
            for row in rows(name, side, quantization, converter):
                whole = whole or row
                macs, one, four = row.saved(whole)
                print(
                    f"{ARCHITECTURE_TITLES[name]:24}{row.ratio:6.1f}{row.parameters:12,}{row.macs / 1e6:8.1f}"
                    f"{row.size:12,}{row.one:14.2f}{row.four:14.2f}{-macs:8.0%}{-one:10.0%}{-four:10.0%}",
                    flush=True,
                )
                if row.ratio == GOAL_RATIO and not (macs >= GOAL_MACS and min(one, four) >= GOAL_LATENCY):
                    missed.append(ARCHITECTURE_TITLES[name])
    goal = f"MACs -{GOAL_MACS:.0%} and latency -{GOAL_LATENCY:.0%} at ratio {GOAL_RATIO}"
    print(f"{goal}: " + (f"MISSED by {', '.join(missed)}" if missed else "met by all five"))


if __name__ == "__main__":
    main()

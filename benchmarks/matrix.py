"""Every network, compressed in every way, in every kind of numbers: does it convert, run, and what does it take?

    python benchmarks/matrix.py --out docs/matrix.md

5 networks x 5 compressions x 5 quantizations. A cell passes where the file converts, LiteRT runs it, and its logits
are those of torch within the limit of its numerics; or it is refused by a rule, with its reason. Networks have learned
a few made-up pictures by heart, and are fine-tuned on them after compression, as in life: enough for graphs, sizes and
latencies, which no weight changes, and for logits that stand out (those of a NASNet that is untrained, or pruned and
not repaired, drown in int8's rounding); it says nothing about accuracy. Cells of this side
that are in --keep are not made again, unless they failed: remove that file when code has changed. About 20 minutes on
quiet cores.
"""

import gzip
import json
from copy import deepcopy
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import get_args

import click
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import nn

from devicelab.graph import read_graph
from devicelab.roofline import latency_ms
from fer_core import scoring
from fer_core.batches import to_input
from fer_core.compression.compress import compress
from fer_core.compression.quantized_training import train_quantized
from fer_core.data.faces import FaceSet
from fer_core.errors import CandidateError
from fer_core.export import Converter
from fer_core.integer.learned import fake_quantized
from fer_core.models.build import build
from fer_core.specs import (
    ARCHITECTURE_TITLES,
    ArchitectureName,
    ArchitectureSpec,
    CompressionSpec,
    Quantization,
    TrainingSpec,
)
from fer_core.training import recalibrate

REPAIR = 8
"""Epochs of fine-tuning after compression, two steps each."""
COMPRESSIONS = {
    "none": CompressionSpec(),
    "unstructured 0.5": CompressionSpec(pruning="magnitude", pruning_ratio=0.5, fine_tune_epochs=REPAIR),
    "structured 0.3": CompressionSpec(pruning="structured", pruning_ratio=0.3, fine_tune_epochs=REPAIR),
    "structured 0.6": CompressionSpec(pruning="structured", pruning_ratio=0.6, fine_tune_epochs=REPAIR),
    "16 clusters": CompressionSpec(clusters=16, fine_tune_epochs=REPAIR),
}
LIMITS: dict[Quantization, float] = {
    "float32": 1e-3,
    "float16": 0.05,
    "dynamic_int8": 0.3,
    "int8": 0.5,
    "int8_qat": 0.5,
}
"""Largest ``noise``. A file that ignores its input has 1; 0.5 is a quarter of the signal's power. For QAT it is taken
from what training computed. Calibrated int8 clips extremes."""
PICTURES = 32
STEPS, LEARNING_RATE = 15, 1e-3
"""Of AdamW on all pictures at once: the loss of every network ends below 0.01."""
TRAINING = TrainingSpec(batch_size=16, learning_rate=LEARNING_RATE, augmentation="none", label_smoothing=0.0)
"""What compression and QAT go on with."""
HEADER = (
    "| network | compression | quantization | result | difference | bytes | gzip bytes | MMACs | ms, 1 thread "
    "| ms, 4 threads |\n| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
)


@dataclass(frozen=True)
class Cell:
    """One file: *result* is ``"passes"``, ``"refused: ..."`` or ``"FAILS: ..."``; *difference* is its ``noise``."""

    side: int
    network: str
    compression: str
    quantization: str
    result: str
    difference: float = 0.0
    size: int = 0
    gzipped: int = 0
    macs: int = 0
    one: float = 0.0
    four: float = 0.0

    def line(self) -> str:
        """Return the row of the table."""
        facts = ["-"] * 6
        if self.size:
            facts = [f"{self.difference:.1e}" if self.difference < 1e-3 else f"{self.difference:.3f}"]
            facts += [
                f"{self.size:,}",
                f"{self.gzipped:,}",
                f"{self.macs / 1e6:.1f}",
                f"{self.one:.2f}",
                f"{self.four:.2f}",
            ]
        return f"| {' | '.join([self.network, self.compression, self.quantization, self.result, *facts])} |"


def pictures(side: int) -> FaceSet:
    """Return made-up pictures, smooth enough that ranges can be calibrated for them."""
    coarse = np.random.default_rng(0).integers(0, 256, (PICTURES, 8, 8, 3), dtype=np.uint8)
    return FaceSet(
        images=coarse.repeat(side // 8, axis=1).repeat(side // 8, axis=2),
        labels=np.arange(PICTURES) % 7,
        subjects=np.arange(PICTURES).astype(str),
        groups=np.full(PICTURES, ""),
        populations=np.full(PICTURES, ""),
        mouth_open=np.full(PICTURES, -1, dtype=np.int8),
        digest="pictures",
        synthetic=True,
    )


def noise(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Return how far logits *found* (n, classes) are from those *wanted*: 0 are equal, 1 do not depend on the image.

    Root mean square of the difference, over that of *wanted* about each class's mean over the images. About one mean of
    all classes it would forgive too much: classes of an untrained network differ more than images do.
    """
    signal = np.square(wanted - wanted.mean(axis=0)).mean()
    return float(np.sqrt(np.square(found - wanted).mean() / signal))


def taught(model: nn.Module, faces: FaceSet) -> nn.Module:
    """Return *model* after it has learned *faces* by heart, ready to be exported."""
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=LEARNING_RATE)
    images, labels = to_input(faces.images[:]), torch.as_tensor(faces.labels)
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    recalibrate(model.eval(), faces, batch_size=16)
    return model


class Press:
    """Makes cells of one *side* in pixels with one *converter*; files are written to *folder*."""

    def __init__(self, side: int, converter: Converter, folder: Path) -> None:
        self.side, self.converter, self.path = side, converter, folder / "matrix.tflite"
        self.faces = pictures(side)
        self.taught: tuple[ArchitectureName, nn.Module] | None = None
        self.last: tuple[tuple[str, str], nn.Module] | None = None

    def cell(self, name: ArchitectureName, compression: str, quantization: Quantization) -> Cell:
        """Make one file and look at it."""
        key = self.side, ARCHITECTURE_TITLES[name], compression, quantization
        try:
            return self._made(key, name, quantization)
        except CandidateError as error:
            return Cell(*key, result=f"refused: {' '.join(str(error).split())}")
        except Exception as error:  # noqa: BLE001 - a crash is what this looks for
            return Cell(*key, result=f"FAILS: {type(error).__name__}: {' '.join(str(error).split())[:100]}")

    def _made(self, key: tuple[int, str, str, str], name: ArchitectureName, quantization: Quantization) -> Cell:
        spec = COMPRESSIONS[key[2]]
        model = expected = self._compressed(name, key[2])
        if quantization == "int8_qat":
            spec = spec.model_copy(
                update={"quantization": quantization, "qat_epochs": 1, "calibration_images": PICTURES}
            )
            model = train_quantized(model, spec, TRAINING, self.faces)
            expected = fake_quantized(model, self.side)
        content = self.converter.convert(model, self.side, quantization, self.faces.images[:])
        self.path.write_bytes(content)
        found = scoring.predict(self.path, self.faces.images)
        with torch.inference_mode():
            wanted = expected(to_input(self.faces.images[:])).numpy()
        difference = noise(found, wanted)
        graph = read_graph(self.path)
        return Cell(
            *key,
            result="passes" if difference <= LIMITS[quantization] else f"FAILS: beyond {LIMITS[quantization]:g}",
            difference=difference,
            size=len(content),
            gzipped=len(gzip.compress(content, 6)),
            macs=graph.macs,
            one=latency_ms(graph.operators, threads=1),
            four=latency_ms(graph.operators, threads=4),
        )

    def _compressed(self, name: ArchitectureName, compression: str) -> nn.Module:
        """Return the network that all quantizations of a row share."""
        if self.last is None or self.last[0] != (name, compression):
            if self.taught is None or self.taught[0] != name:
                self.taught = name, taught(build(ArchitectureSpec(name=name, input_size=self.side), seed=0), self.faces)
            model = deepcopy(self.taught[1])
            self.last = (name, compression), compress(model, COMPRESSIONS[compression], TRAINING, self.faces)
        return self.last[1]


def page(cells: list[Cell], side: int) -> str:
    """Return the table with what it means."""
    counts = {kind: sum(cell.result.startswith(kind) for cell in cells) for kind in ("passes", "refused", "FAILS")}
    limits = ", ".join(f"{limit:g} ({kind})" for kind, limit in LIMITS.items())
    return f"""# Networks, compressions, quantizations

Written by `python benchmarks/matrix.py --out docs/matrix.md`. Do not edit: run it again. {len(cells)} cells at
{side} px: {counts["passes"]} pass, {counts["refused"]} refused by rule, {counts["FAILS"]} fail.

Networks that know {PICTURES} made-up pictures by heart, as graphs, sizes and latencies do not depend on weights:
nothing here is about accuracy. *difference*: root mean square of that between the logits of the file under LiteRT and
of torch (of what training computed for int8_qat), over that of torch's logits about each class's mean over the images:
a file that ignores its input has 1. It passes up to {limits}.
After compression networks are fine-tuned for {REPAIR} epochs of two steps, as `fine_tune_epochs` of a study does it.
*ms*: the silent model of a **simulated** Moto G6; no phone measured it. Pruned and clustered files shrink when they are
compressed, as an app package is.

{HEADER}
{chr(10).join(cell.line() for cell in cells)}
"""


@click.command()
@click.option("--side", default=64, show_default=True, help="Side of the input in pixels; a multiple of 8.")
@click.option("--keep", type=click.Path(path_type=Path), default=Path("matrix.jsonl"), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="The page to write.")
@click.option(
    "--network", "networks", multiple=True, type=click.Choice(get_args(ArchitectureName)), help="Default: all."
)
def main(side: int, keep: Path, out: Path | None, networks: tuple[ArchitectureName, ...]) -> None:
    """Make the cells that are not there yet, write the page, and say whether any fails."""
    known = [Cell(**json.loads(line)) for line in keep.read_text().splitlines()] if keep.exists() else []
    cells = {
        (cell.side, cell.network, cell.compression, cell.quantization): cell
        for cell in known
        if not cell.result.startswith("FAILS")
    }
    wanted = list(product(networks or get_args(ArchitectureName), COMPRESSIONS, get_args(Quantization)))
    with Converter() as converter, keep.open("a", encoding="utf-8") as stream:
        press = Press(side, converter, keep.parent)
        for name, compression, quantization in track(wanted, "cells"):
            key = side, ARCHITECTURE_TITLES[name], compression, quantization
            if key not in cells:
                cells[key] = press.cell(name, compression, quantization)
                stream.write(json.dumps(asdict(cells[key])) + "\n")
                stream.flush()
    made = [cells[side, ARCHITECTURE_TITLES[name], compression, kind] for name, compression, kind in wanted]
    if out:
        out.write_text(page(made, side), encoding="utf-8")
    failed = [cell.line() for cell in made if cell.result.startswith("FAILS")]
    print("\n".join([*failed, f"{len(made)} cells, {len(failed)} fail"]))


if __name__ == "__main__":
    main()

"""Measure the road from torch to LiteRT for 5 networks x 4 quantizations, and write the table.

    fer-data render faces
    python benchmarks/conversion_table.py --faces faces --out docs/conversion.md

Each network is trained for real on the rendered faces (two at a time, one thread each; checkpoints in --work make the
command resumable), exported four times by a warm converter, and run under LiteRT on the whole evaluation set. One
network is also converted by the stock onnx2tf.convert() call, for comparison. About 15 minutes on 2 idle cores.
"""

import gzip
import multiprocessing
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args

import click
import numpy as np
import torch
from numpy.typing import NDArray

from fer_core import scoring
from fer_core.batches import to_input
from fer_core.compression.quantization import calibration_images
from fer_core.data.faces import FaceSet
from fer_core.data.loading import load_faces
from fer_core.data.sources import DataSource
from fer_core.data.splits import validation_split
from fer_core.export import Converter, onnx_bytes
from fer_core.models.build import build
from fer_core.specs import ARCHITECTURE_TITLES, ArchitectureName, ArchitectureSpec, Quantization, TrainingSpec
from fer_core.statistics import macro_f1, subject_confusions
from fer_core.training import fit

PATTERN = r"(?P<subject>[AC]\d+)_(?P<sex>[FM])-(?P<group>[A-Z]{2})"
CALIBRATION_IMAGES = 100
STOCK = """
import sys, time
import onnx2tf, tensorflow
wall, cpu = time.perf_counter(), time.process_time()
onnx2tf.convert(input_onnx_file_path=sys.argv[1], output_folder_path=sys.argv[2], tflite_backend="tf_converter",
                non_verbose=True, verbosity="error")
print("seconds", time.perf_counter() - wall, time.process_time() - cpu)
"""


@dataclass(frozen=True)
class Setting:
    """What is trained, for how long, and where the faces are."""

    faces: Path
    work: Path
    side: int
    epochs: int

    def training(self) -> TrainingSpec:
        """Return the recipe: many small steps, since the rendered set is small."""
        return TrainingSpec(epochs=self.epochs, batch_size=32, learning_rate=2e-3)

    def people(self) -> tuple[FaceSet, FaceSet]:
        """Return (training faces, evaluation faces)."""
        cache = self.work / "cache"
        train = [
            DataSource(layout="folders", path=self.faces / who, population=who, subject_pattern=PATTERN)
            for who in ("children", "adults")
        ]
        judge = [DataSource(layout="cafe", path=self.faces / "cafe")]
        return load_faces(train, self.side, cache), load_faces(judge, self.side, cache)


def trained(name: ArchitectureName, setting: Setting) -> torch.nn.Module:
    """Return *name*, trained; a checkpoint in the work folder is continued."""
    torch.set_num_threads(1)
    faces, _ = setting.people()
    train, validation = (faces.take(mask) for mask in validation_split(faces))
    model = build(ArchitectureSpec(name=name, input_size=setting.side))
    checkpoint = setting.work / f"{name}-{setting.side}-{setting.epochs}.pt"
    for report in fit(model, train, validation, setting.training(), checkpoint=checkpoint):
        print(f"{name}: {report}", flush=True)
    return model.eval()


def train_quietly(name: ArchitectureName, setting: Setting) -> None:
    """Train *name* in a worker process; the weights stay in its checkpoint."""
    trained(name, setting)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: ArchitectureName
    quantization: Quantization
    wall: float
    cpu: float
    content: bytes
    operators: int
    worst: float
    agreement: float
    f1: float
    torch_f1: float

    def cells(self) -> tuple[str, ...]:
        """Return the line's cells as text."""
        return (
            ARCHITECTURE_TITLES[self.name],
            self.quantization,
            f"{self.wall:.1f}",
            f"{self.cpu:.1f}",
            f"{len(self.content):,}",
            f"{len(gzip.compress(self.content, 6)):,}",
            str(self.operators),
            f"{self.worst:.1e}" if self.quantization == "float32" else f"{self.worst:.2f}",
            f"{self.agreement:.3f}",
            f"{self.torch_f1:.3f}",
            f"{self.f1:.3f}",
        )


HEADER = (
    *("network", "quantization", "wall s", "CPU s", "bytes", "gzip bytes", "operators"),
    *("max abs(torch - tflite)", "argmax agreement", "F1 torch", "F1 tflite"),
)


def f1_of(logits: NDArray[np.float32], faces: FaceSet) -> float:
    """Return the macro-F1 of *logits* (n, 7) on *faces*."""
    _, counts = subject_confusions(faces.labels, logits.argmax(axis=1), faces.subjects)
    return float(macro_f1(counts.sum(axis=0)))


def rows_of(name: ArchitectureName, setting: Setting, converter: Converter) -> Iterator[Row]:
    """Export *name* four times and compare each file with torch."""
    model = trained(name, setting)
    train, judge = setting.people()
    with torch.inference_mode():
        batches = [to_input(judge.images[start : start + 64]) for start in range(0, len(judge), 64)]
        expected = np.concatenate([model(batch).numpy() for batch in batches])
    calibration = calibration_images(train, CALIBRATION_IMAGES, seed=0)
    path = setting.work / "model.tflite"
    for quantization in [each for each in get_args(Quantization) if each != "int8_qat"]:
        wall, cpu = time.perf_counter(), time.process_time() + converter.cpu_seconds()
        content = converter.convert(model, setting.side, quantization, calibration)
        wall, cpu = time.perf_counter() - wall, time.process_time() + converter.cpu_seconds() - cpu
        path.write_bytes(content)
        found = scoring.predict(path, judge.images)
        row = Row(
            name=name,
            quantization=quantization,
            wall=wall,
            cpu=cpu,
            content=content,
            operators=scoring.operators_of(path),
            worst=float(np.abs(found - expected).max()),
            agreement=float((found.argmax(axis=1) == expected.argmax(axis=1)).mean()),
            f1=f1_of(found, judge),
            torch_f1=f1_of(expected, judge),
        )
        print(" | ".join(row.cells()), flush=True)
        yield row


def stock_seconds(name: ArchitectureName, setting: Setting) -> tuple[float, float]:
    """Return (wall, CPU) seconds of one stock onnx2tf.convert() of *name*, imports left out."""
    source = setting.work / "stock.onnx"
    source.write_bytes(onnx_bytes(build(ArchitectureSpec(name=name, input_size=setting.side)), setting.side))
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-c", STOCK, str(source), str(setting.work / "stock")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("seconds"))
    wall, cpu = map(float, line.split()[1:])
    return wall, cpu


def document(rows: list[Row], setting: Setting, judge: FaceSet, stock: tuple[float, float], command: str) -> str:
    """Return the page."""
    lines = ["| " + " | ".join(HEADER) + " |", "|" + " --- |" * 2 + " ---: |" * (len(HEADER) - 2)]
    lines += ["| " + " | ".join(row.cells()) + " |" for row in rows]
    same = [row for row in rows if row.name == "mobilenetv3_small_100" and row.quantization in ("float32", "float16")]
    ours = sum(row.wall for row in same), sum(row.cpu for row in same)
    worst = max(row.worst for row in rows if row.quantization == "float32")
    least = min((row.agreement, ARCHITECTURE_TITLES[row.name]) for row in rows if row.quantization == "int8")
    reached = "every network reaches" if least[0] >= 0.95 else f"{least[1]}, at {least[0]:.3f}, does not reach"
    return PAGE.format(
        command=command,
        machine=f"{os.cpu_count()} cores, {platform.machine()}",
        side=setting.side,
        epochs=setting.epochs,
        images=f"{len(judge):,}",
        calibration=CALIBRATION_IMAGES,
        table="\n".join(lines),
        ours_wall=ours[0],
        ours_cpu=ours[1],
        stock_wall=stock[0],
        stock_cpu=stock[1],
        ratio=stock[1] / ours[1],
        worst=worst,
        reached=reached,
    )


PAGE = """# From torch to LiteRT: five networks, four quantizations

Written by `{command}` on {machine}. Do not edit: run it again.

Each network is trained from scratch for {epochs} epochs on rendered faces at {side} px, exported, and run under LiteRT
(one thread) on the {images} pictures of the rendered evaluation set. **The pictures are synthetic: F1 here says nothing
about real children.** It stands here to show what quantization costs. int8 is calibrated with {calibration} training
images.

{table}

- *wall s* and *CPU s*: from the network in memory to the bytes of the file, torch and the warm converter together. The
  first quantization of a network pays for building its graph; the next three reuse it. Importing TensorFlow once, about
  5 CPU seconds, is not counted.
- *operators*: nodes of the graph as LiteRT lists them.
- *max abs(torch - tflite)*: over all logits of all pictures. The goal for float32 is 1e-3; the worst is {worst:.1e}.
- *argmax agreement*: share of pictures that torch and the file call the same. The goal for int8 is 0.95;
  {reached} it.
- The stock call `onnx2tf.convert(tflite_backend="tf_converter")`, which writes a SavedModel, float32 and float16, takes
  {stock_wall:.1f} s wall and {stock_cpu:.1f} s CPU for MobileNetV3-Small. Here float32 and float16 take
  {ours_wall:.1f} s and {ours_cpu:.1f} s, export from torch included: {ratio:.1f} times less CPU.
"""


@click.command()
@click.option("--faces", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--work", type=click.Path(path_type=Path, file_okay=False), default=Path("build/conversion"))
@click.option("--side", default=64, show_default=True, help="Side of the input in pixels.")
@click.option("--epochs", default=20, show_default=True)
@click.option("--processes", default=2, show_default=True, help="Networks trained at the same time.")
def main(out: Path, processes: int, **options: Annotated[object, "fields of Setting"]) -> None:
    """Train, export, compare, and write the table."""
    setting = Setting(**options)  # type: ignore[arg-type]  # click has checked the types
    setting.work.mkdir(parents=True, exist_ok=True)
    names = get_args(ArchitectureName)
    _, judge = setting.people()
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for job in [pool.submit(train_quietly, name, setting) for name in reversed(names)]:  # the slowest first
            job.result()
    with Converter() as converter:
        converter.cpu_seconds()  # waits until TensorFlow is there
        rows = [row for name in names for row in rows_of(name, setting, converter)]
    stock = stock_seconds("mobilenetv3_small_100", setting)
    command = "python benchmarks/conversion_table.py --faces FACES --out docs/conversion.md"
    out.write_text(document(rows, setting, judge, stock, command), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Does quantization-aware training give back what post-training int8 loses?

    fer-data render faces --children 700
    python benchmarks/qat.py --faces faces --work /tmp/qat
    python benchmarks/qat.py --study examples/fer2013.toml --side 48 --work /tmp/qat-fer2013    # real faces

Each network is trained once. From the same weights come four files: float32; int8 with calibrated ranges; the same
after as many more epochs in float as quantization-aware training takes; and int8 after quantization-aware training. All
are scored on the same faces, so differences are paired over children (``fer_core.comparison``). The goal: QAT beats
post-training int8 wherever that loses more than a point of F1, with an interval beyond 0; what it gains over the third
file is not merely more training. Trainings are kept in --work and continued. An hour or two on two cores.

Rendered faces are not people: what is compared on them are numerics.
"""

from pathlib import Path
from typing import Any, get_args

import click
import numpy as np
from numpy.typing import NDArray
from torch import nn

from devicelab.measurement import Measurement, Workload
from fer_core import scoring
from fer_core.comparison import Difference, compare
from fer_core.compression.quantization import calibration_images
from fer_core.compression.quantized_training import QUANTIZED_RATE, train_quantized
from fer_core.data.faces import FaceSet
from fer_core.models.build import build
from fer_core.specs import (
    ARCHITECTURE_TITLES,
    ArchitectureName,
    ArchitectureSpec,
    CompressionSpec,
    Quantization,
    TrainingSpec,
)
from fer_core.statistics import macro_f1, subject_confusions
from fer_core.training import fine_tune, fit
from search.config import StudyConfig
from search.stages import Workbench

LOSS = 0.01
"""Post-training int8 that loses more macro-F1 than this should gain by QAT: a point."""
SUBJECTS = r"(?P<subject>[AC]\d+)_(?P<sex>[FM])-(?P<group>[A-Z]{2})"
FILES = ("float32", "int8", "longer", "QAT")
DIFFERENCES = (("int8", "float32"), ("QAT", "int8"), ("QAT", "longer"), ("QAT", "float32"))
HEADER = (
    f"{'network':24}"
    + "".join(f"{name:>9}" for name in FILES)
    + "".join(f"{' - '.join(pair):>21}" for pair in DIFFERENCES)
)


def rendered(faces: Path) -> StudyConfig:
    """Return a study on the folder that ``fer-data render`` wrote."""
    training = [
        {"layout": "folders", "path": str(faces / name), "population": name, "subject_pattern": SUBJECTS}
        for name in ("children", "adults")
    ]
    data = {"evaluation": {"layout": "cafe", "path": str(faces / "cafe")}, "training": training}
    names: dict[str, Any] = {"name": "qat", "objectives": ["f1", "latency"], "seed": 0}
    return StudyConfig.model_validate(
        names | {"budget": {"trials": 1}, "data": data, "space": {"architecture": "mobilenetv2_100"}}
    )


class Comparison:
    """Trains networks for *side* pixels on the faces of *bench*, as *training* says, and compares files of them."""

    def __init__(self, bench: Workbench, work: Path, side: int, training: TrainingSpec, qat_epochs: int) -> None:
        self.work, self.side, self.training = work, side, training
        self.converter = bench.converter
        self.train, self.validation = bench.training_faces(side, training.population)
        self.faces = bench.evaluation_faces(side)
        self.spec = CompressionSpec(quantization="int8_qat", fine_tune_epochs=0, qat_epochs=qat_epochs)

    def trained(self, name: ArchitectureName) -> nn.Module:
        """Return *name*, trained; what --work has of it is not trained again."""
        model = build(ArchitectureSpec(name=name, input_size=self.side))
        checkpoint = self.work / f"{name}-{self.side}-{self.training.epochs}.pt"
        for report in fit(model, self.train, self.validation, self.training, checkpoint=checkpoint):
            click.echo(f"{name}: {report}", err=True)
        return model.eval()

    def longer(self, name: ArchitectureName) -> nn.Module:
        """Return *name*, trained for as many epochs more as QAT takes, as fast, without rounding."""
        model = self.trained(name)
        rate = QUANTIZED_RATE * self.training.learning_rate
        changes = {"epochs": self.spec.qat_epochs, "learning_rate": rate}
        fine_tune(model, self.train, self.training.model_copy(update=changes))
        return model.eval()

    def predicted(self, model: nn.Module, quantization: Quantization) -> NDArray[np.int64]:
        """Return what the file of *model* says of each evaluation face, (n,)."""
        images = calibration_images(self.train, self.spec.calibration_images, self.training.seed)
        path = self.work / "model.tflite"
        path.write_bytes(self.converter.convert(model, self.side, quantization, images))
        return np.asarray(scoring.predict(path, self.faces.images).argmax(axis=1))

    def line(self, name: ArchitectureName) -> Difference | None:
        """Print the line of *name*; return what QAT won, ``None`` where there was nothing to win."""
        model = self.trained(name)
        learned = train_quantized(model, self.spec, self.training, self.train)
        found = {
            "float32": self.predicted(model, "float32"),
            "int8": self.predicted(model, "int8"),
            "longer": self.predicted(self.longer(name), "int8"),
            "QAT": self.predicted(learned, "int8_qat"),
        }
        faces = self.faces
        lost, won, *others = (
            compare(faces.labels, found[one], found[other], faces.subjects, faces.groups).macro_f1
            for one, other in DIFFERENCES
        )
        scores = "".join(f"{100 * f1(faces, found[each]):9.1f}" for each in FILES)
        differences = "".join(f"{told(each):>21}" for each in (lost, won, *others))
        print(f"{ARCHITECTURE_TITLES[name]:24}{scores}{differences}", flush=True)
        return won if lost.value < -LOSS else None


def f1(faces: FaceSet, predicted: NDArray[np.int64]) -> float:
    """Return macro-F1 of *predicted* over all *faces*."""
    _, counts = subject_confusions(faces.labels, predicted, faces.subjects)
    return float(macro_f1(counts.sum(axis=0)))


def told(difference: Difference) -> str:
    """Return *difference* in points with its interval."""
    return (
        f"{100 * difference.value:+.1f} [{100 * difference.interval.low:+.1f}, {100 * difference.interval.high:+.1f}]"
    )


def verdict(needed: list[Difference]) -> str:
    """Return what the gains of QAT, where post-training int8 loses, say of the goal: a gain within noise is none."""
    if not needed:
        return "nothing to win"
    if all(each.resolved and each.value > 0 for each in needed):
        return "met"
    return "MISSED" if any(each.resolved and each.value <= 0 for each in needed) else "not resolved by these faces"


def nobody(_workload: Workload) -> Measurement:
    """Refuse: nothing is measured here."""
    raise NotImplementedError


@click.command()
@click.option("--faces", type=click.Path(exists=True, path_type=Path), help="What fer-data render wrote.")
@click.option("--study", type=click.Path(exists=True, path_type=Path), help="Instead: a study, for the faces it names.")
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Folder of what was trained.")
@click.option(
    "--network", "networks", multiple=True, type=click.Choice(get_args(ArchitectureName)), help="Default: all."
)
@click.option("--side", default=64, show_default=True, help="Side of the input in pixels.")
@click.option("--epochs", default=6, show_default=True)
@click.option("--qat-epochs", default=2, show_default=True)
def main(  # noqa: PLR0917 - one argument per option
    faces: Path | None,
    study: Path | None,
    work: Path,
    networks: tuple[ArchitectureName, ...],
    side: int,
    epochs: int,
    qat_epochs: int,
) -> None:
    """Train, export, score, compare; say where QAT won."""
    if (source := faces or study) is None or (faces and study):
        raise click.UsageError("say either --faces or --study")
    work.mkdir(parents=True, exist_ok=True)
    training = TrainingSpec(population="all", epochs=epochs, batch_size=32, learning_rate=3e-3)
    config = rendered(source) if faces else StudyConfig.load(source)
    with Workbench(config, work / "artifacts", work / "cache", nobody) as bench:
        comparison = Comparison(bench, work, side, training, qat_epochs)
        people = f"{len(comparison.faces):,} faces of {len(np.unique(comparison.faces.subjects))} people"
        print(
            f"macro-F1 in points on {people} at {side} px, {epochs} epochs, {qat_epochs} of QAT\n{HEADER}", flush=True
        )
        won = [comparison.line(name) for name in networks or get_args(ArchitectureName)]
    needed = [each for each in won if each is not None]
    better = sum(each.resolved and each.value > 0 for each in needed)
    print(
        f"post-training int8 loses more than a point on {len(needed)} networks, "
        f"QAT beats it, interval beyond 0, on {better} of them: {verdict(needed)}"
    )


if __name__ == "__main__":
    main()

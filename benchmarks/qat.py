"""Does quantization-aware training give back what post-training int8 loses?

    fer-data render faces
    python benchmarks/qat.py --faces faces --work /tmp/qat

Each network is trained once, then exported three times from the same weights: as float32, as int8 with calibrated
ranges, and as int8 after quantization-aware training. All three files are scored on the same faces, so differences are
paired over children (``fer_core.comparison``). The goal: QAT beats post-training int8 wherever that loses more than a
point of F1, with an interval beyond 0. Whatever was finished in the folder --work is not computed again. 15 to 20
minutes on two cores.

On rendered faces, which are not people: what is compared are numerics.
"""

from pathlib import Path
from typing import Any, get_args

import click
import numpy as np
from numpy.typing import NDArray

from devicelab.measurement import Measurement, Workload
from fer_core import scoring
from fer_core.comparison import Difference, compare
from fer_core.data.faces import FaceSet
from fer_core.specs import (
    ARCHITECTURE_TITLES,
    ArchitectureName,
    ArchitectureSpec,
    CompressionSpec,
    DeploymentSpec,
    Quantization,
    TrainingSpec,
)
from fer_core.statistics import macro_f1, subject_confusions
from search.candidate import Candidate
from search.config import StudyConfig
from search.stages import Workbench

LOSS = 0.01
"""Post-training int8 that loses more macro-F1 than this should gain by QAT: a point."""
SUBJECTS = r"(?P<subject>[AC]\d+)_(?P<sex>[FM])-(?P<group>[A-Z]{2})"
HEADER = (
    f"{'network':24}{'float32':>9}{'int8':>7}{'QAT':>7}{'int8 - float32':>24}{'QAT - int8':>24}{'QAT - float32':>24}"
)


def config(faces: Path) -> StudyConfig:
    """Return a study on the folder that ``fer-data render`` wrote; its candidates are ours."""
    training = [
        {"layout": "folders", "path": str(faces / name), "population": name, "subject_pattern": SUBJECTS}
        for name in ("children", "adults")
    ]
    data = {"evaluation": {"layout": "cafe", "path": str(faces / "cafe")}, "training": training}
    names: dict[str, Any] = {"name": "qat", "objectives": ["f1", "latency"], "seed": 0}
    return StudyConfig.model_validate(
        names | {"budget": {"trials": 1}, "data": data, "space": {"architecture": "mobilenetv2_100"}}
    )


def candidate(
    name: ArchitectureName, side: int, training: TrainingSpec, quantization: Quantization, qat: int
) -> Candidate:
    """Return the candidate whose *training* all numerics share."""
    return Candidate(
        architecture=ArchitectureSpec(name=name, input_size=side),
        training=training,
        compression=CompressionSpec(
            quantization=quantization, fine_tune_epochs=0, qat_epochs=qat if quantization == "int8_qat" else 0
        ),
        deployment=DeploymentSpec(),
    )


def f1(faces: FaceSet, predicted: NDArray[np.int64]) -> float:
    """Return macro-F1 of *predicted* over all *faces*."""
    _, counts = subject_confusions(faces.labels, predicted, faces.subjects)
    return float(macro_f1(counts.sum(axis=0)))


def told(difference: Difference) -> str:
    """Return *difference* in points with its interval."""
    return (
        f"{100 * difference.value:+.1f} [{100 * difference.interval.low:+.1f}, {100 * difference.interval.high:+.1f}]"
    )


def compared(
    bench: Workbench, name: ArchitectureName, side: int, training: TrainingSpec, qat: int
) -> Difference | None:
    """Print the line of *name*; return what QAT won, ``None`` where there was nothing to win."""
    predicted = {}
    numerics: tuple[Quantization, ...] = ("float32", "int8", "int8_qat")
    for quantization in numerics:
        wanted = candidate(name, side, training, quantization, qat)
        for _ in bench.train(wanted):
            pass
        faces = bench.evaluation_faces(side)
        predicted[quantization] = scoring.predict(bench.export(wanted).path, faces.images).argmax(axis=1)

    def against(first: Quantization, second: Quantization) -> Difference:
        pair = predicted[first], predicted[second]
        return compare(faces.labels, *pair, faces.subjects, faces.groups).macro_f1

    lost, won, left = against("int8", "float32"), against("int8_qat", "int8"), against("int8_qat", "float32")
    scores = (100 * f1(faces, predicted[each]) for each in numerics)
    plain, calibrated, learned = (f"{score:.1f}" for score in scores)
    print(
        f"{ARCHITECTURE_TITLES[name]:24}{plain:>9}{calibrated:>7}{learned:>7}{told(lost):>24}{told(won):>24}{told(left):>24}",
        flush=True,
    )
    return won if lost.value < -LOSS else None


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
@click.option(
    "--faces", type=click.Path(exists=True, path_type=Path), required=True, help="What fer-data render wrote."
)
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Folder of what was computed.")
@click.option(
    "--network", "networks", multiple=True, type=click.Choice(get_args(ArchitectureName)), help="Default: all."
)
@click.option("--side", default=64, show_default=True, help="Side of the input in pixels.")
@click.option("--epochs", default=6, show_default=True)
@click.option("--qat-epochs", default=2, show_default=True)
def main(  # noqa: PLR0917 - one argument per option
    faces: Path, work: Path, networks: tuple[ArchitectureName, ...], side: int, epochs: int, qat_epochs: int
) -> None:
    """Train, export, score, compare; say where QAT won."""
    training = TrainingSpec(population="all", epochs=epochs, batch_size=32, learning_rate=3e-3)
    print(
        f"macro-F1 in points on rendered faces at {side} px, {epochs} epochs, {qat_epochs} of QAT\n{HEADER}", flush=True
    )
    with Workbench(config(faces), work / "artifacts", work / "cache", nobody) as bench:
        won = [compared(bench, name, side, training, qat_epochs) for name in networks or get_args(ArchitectureName)]
    needed = [each for each in won if each is not None]
    better = sum(each.resolved and each.value > 0 for each in needed)
    print(
        f"post-training int8 loses more than a point on {len(needed)} networks, "
        f"QAT beats it, interval beyond 0, on {better} of them: {verdict(needed)}"
    )


if __name__ == "__main__":
    main()

"""How fast a study's stages are: measured here in a few seconds, or read from the ledger of another study.

Times are seconds of one core (of the accelerator where there is one). What is not known is assumed, and says so.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from fer_core.models.outline import outline
from fer_core.specs import ArchitectureName, ArchitectureSpec, Population, Spec
from search.candidate import digest_of
from search.record import StudyRecord, TrialRecord

BATCH = 8
"""Images of a step that is timed."""
EXPORT_SECONDS: dict[ArchitectureName, float] = {
    "mobilenetv3_small_100": 2.8,
    "mobilenetv2_100": 1.8,
    "efficientnet_b0": 4.1,
    "mobilenetv3_large_100": 3.0,
    "nasnet_mobile": 9.1,
}
"""Core seconds of a first export (docs/conversion.md, float32)."""
SCORING_GMACS = 4.0
"""Multiply-accumulates of LiteRT on one x86-64 core, 10^9/s: an assumption."""
PHONE_SECONDS = 30.0
"""How long a measurement holds phones: an assumption; simulated ones take 5 to 15."""


TRAINED = 0.85
"""Share of the faces that is trained on; the others validate (``fer_core.data.splits``)."""


class Paces(Spec):
    """Core seconds: of training per 10^9 multiply-accumulates of forward passes by architecture, and of an export.

    ``scoring`` is core seconds per 10^9 multiply-accumulates, ``phone`` phone seconds of a measurement. ``bases``
    tells for each of ``training``, ``export``, ``scoring``, ``phone`` where it comes from.
    """

    training: dict[ArchitectureName, float]
    export: dict[ArchitectureName, float] = EXPORT_SECONDS
    scoring: float = 1 / SCORING_GMACS
    phone: float = PHONE_SECONDS
    accelerator: bool = False
    bases: dict[str, str] = {
        "training": "assumed",
        "export": "assumed: docs/conversion.md",
        "scoring": f"assumed: {SCORING_GMACS:g} GMAC/s per core",
        "phone": f"assumed: {PHONE_SECONDS:g} s a graph",
    }


def gmacs(architecture: ArchitectureName, input_size: int) -> float:
    """Return the 10^9 multiply-accumulates of one image."""
    return sum(layer.macs for layer in outline(architecture, input_size)) / 1e9


def measured(sizes: Mapping[ArchitectureName, int], *, clock: Callable[[], float] | None = None) -> Paces:
    """Return paces of which training was measured here: some steps of each architecture, at its size in *sizes*.

    One core, unless there is an accelerator. *clock* counts the seconds: the process's CPU time, which other programs
    on the machine do not slow, or the wall's with an accelerator.
    """
    import torch

    accelerator = torch.cuda.is_available()
    clock = clock or (time.perf_counter if accelerator else time.process_time)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        training = {name: _step_seconds(name, size, clock) for name, size in sizes.items()}
    finally:
        torch.set_num_threads(threads)
    where = "one accelerator" if accelerator else "one core"
    basis = f"measured here on {where}: 3 steps of {BATCH} images of each network"
    bases = Paces(training={}).bases | {"training": basis}
    return Paces(training=training, accelerator=accelerator, bases=bases)


def _step_seconds(name: ArchitectureName, size: int, clock: Callable[[], float]) -> float:
    """Return the seconds of training per 10^9 multiply-accumulates: the least of three steps, the first not counted."""
    import torch

    from fer_core.models.build import build

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build(ArchitectureSpec(name=name, input_size=size)).to(device).to(memory_format=torch.channels_last).train()
    images = torch.zeros(BATCH, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    took = []
    for _ in range(3):
        begun = clock()
        optimizer.zero_grad()
        model(images).square().mean().backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        took.append(clock() - begun)
    return min(took[1:]) / BATCH / gmacs(name, size)


def of_ledger(record: StudyRecord, images: Mapping[Population, int], cores: float) -> Paces:
    """Return the paces that *record* tells; what it does not tell is assumed.

    *images* counts the faces that it trained on, by population; *cores* is how many each of its trials used.

    Only the first trial of each training counts: later ones found its checkpoint.
    """
    ended = [trial for trial in record.trials.values() if trial.outcome]
    training: defaultdict[ArchitectureName, list[float]] = defaultdict(list)
    for trial in _first_trained(ended):
        reports = [report for report in trial.reports if report.rung > 0]
        work = gmacs(trial.candidate.architecture.name, trial.candidate.architecture.input_size)
        faces = images.get(trial.candidate.training.population, 0)
        seconds = _seconds(trial, "train")
        if reports and faces and seconds:
            training[trial.candidate.architecture.name].append(seconds * cores / (work * faces * len(reports)))
    assumed = Paces(training={})
    known = {name: float(np.median(values)) for name, values in training.items()}
    export: defaultdict[ArchitectureName, list[float]] = defaultdict(list)
    for trial in _first_drafted(ended):
        export[trial.candidate.architecture.name].append(_seconds(trial, "draft"))
    phone = {m.fingerprint: m.phone_seconds for t in ended if t.outcome and (m := t.outcome.measurement)}
    told = f"the ledger of {record.opened.name}"
    bases = dict(assumed.bases)
    bases |= {"training": f"{told}, {sum(map(len, training.values()))} trainings"} if known else {}
    bases |= {"export": f"{told}, {sum(map(len, export.values()))} exports"} if export else {}
    bases |= {"phone": f"{told}, {len(phone)} graphs"} if phone else {}
    return Paces(
        training=known,
        export=EXPORT_SECONDS | {name: float(np.median(values)) for name, values in export.items()},
        phone=float(np.mean(list(phone.values()))) if phone else assumed.phone,
        bases=bases,
    )


def together(first: Paces, second: Paces) -> Paces:
    """Return *first*, with the training of architectures that only *second* knows."""
    missing = {name: pace for name, pace in second.training.items() if name not in first.training}
    basis = first.bases["training"] if first.training else ""
    if missing:
        basis = "; ".join(filter(None, [basis, second.bases["training"]]))
    return first.model_copy(
        update={"training": first.training | missing, "bases": first.bases | {"training": basis or "assumed"}}
    )


def _first_trained(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    first: dict[str, TrialRecord] = {}
    for trial in trials:
        first.setdefault(digest_of(trial.candidate.architecture, trial.candidate.training), trial)
    return list(first.values())


def _first_drafted(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    first: dict[str, TrialRecord] = {}
    for trial in trials:
        if _seconds(trial, "draft") > 0:
            first.setdefault(digest_of(trial.candidate.architecture, trial.candidate.compression.of_graph), trial)
    return list(first.values())


def _seconds(trial: TrialRecord, stage: str) -> float:
    seconds = trial.outcome.stage_seconds.get(stage, 0.0) if trial.outcome else 0.0
    return seconds if math.isfinite(seconds) else 0.0

"""Compute every candidate of a small space for real, and write what each stage gave and how many CPU seconds it took.

    python benchmarks/record_table.py STUDY.toml TABLE.jsonl [--work FOLDER] [--part 0/1]

The stages are those of ``search.stages``; latency is the simulated phone's. A row of the table is one candidate.
Candidates that share a training, a compression or a graph repeat its numbers. Rows are appended as they come, and a
table that was cut short goes on where it ended. ``--part 1/3`` computes every third training, from the second on.
"""

import argparse
import itertools
import json
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from devicelab.config import LabConfig
from devicelab.lab import Lab
from devicelab.measurement import Workload
from search.candidate import Candidate, digest_of
from search.config import StudyConfig
from search.pipeline import megabytes, objective_values
from search.space import Given, suggest
from search.stages import Workbench


def choices_of_all(config: StudyConfig) -> Iterator[dict[str, Any]]:
    """Yield the choices of every candidate of the space of *config*; each key is a list of choices or one value.

    A ratio stands only where something is pruned, and where it varies.
    """
    space = config.space
    ratios = _choices(space.pruning_ratio)
    keys: dict[str, tuple[Any, ...]] = {
        "architecture": space.architecture,
        "input_size": space.input_size,
        "population": space.population,
        "learning_rate": _choices(space.training.learning_rate),
        "pruning": space.pruning,
        "pruning_ratio": ratios,
        "quantization": space.quantization,
        "threads": space.threads,
    }
    for answers in itertools.product(*keys.values()):
        choices = dict(zip(keys, answers, strict=True))
        if choices["pruning"] == "none" and choices["pruning_ratio"] != ratios[0]:
            continue
        if choices["pruning"] == "none" or len(ratios) == 1:
            del choices["pruning_ratio"]
        yield choices


def candidate_of(choices: dict[str, Any], config: StudyConfig) -> Candidate:
    """Return the candidate that *choices* describe in the space of *config*."""
    return suggest(Given(choices), config)


def _choices(setting: object) -> tuple[Any, ...]:
    return setting if isinstance(setting, tuple) else (setting,)


def cpu_seconds() -> float:
    """Return the CPU seconds of this process, its threads and its children: those that ended, and those that run."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    running = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(one.ru_utime + one.ru_stime for one in used) + sum(one.user + one.system for one in running)


class Timed:
    """Computes each thing once and remembers the CPU seconds that it took."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Any, float]] = {}

    def __call__(self, key: str, compute: Callable[[], Any]) -> tuple[Any, float]:
        """Return what *compute* gave for *key*, and its seconds."""
        if key not in self._known:
            begun = cpu_seconds()
            result = compute()
            self._known[key] = (result, round(cpu_seconds() - begun, 3))
        return self._known[key]


def row(choices: dict[str, Any], candidate: Candidate, bench: Workbench, timed: Timed) -> dict[str, Any]:
    """Return the row of *candidate*: results, and the seconds of each stage were it the first to need it.

    It is named by its *choices*: a digest changes when a candidate gets another field.
    """
    shape = digest_of("draft", candidate.architecture, candidate.compression)
    training = digest_of(candidate.architecture, candidate.training)
    export = digest_of(training, candidate.compression)
    draft, draft_seconds = timed(shape, lambda: bench.draft(candidate.architecture, candidate.compression))
    workload = Workload.of(draft.path, candidate.deployment.threads)
    graph = digest_of(workload.fingerprint, candidate.deployment.threads)
    latency, _ = timed(graph, lambda: bench.measure(workload))
    reports, training_seconds = timed(training, lambda: list(bench.train(candidate)))
    artifact, export_seconds = timed(export, lambda: bench.export(candidate))
    card, score_seconds = timed(artifact.digest, lambda: bench.score(artifact))
    return {
        "choices": choices,
        "training": training,
        "export": export,
        "draft": shape,
        "graph": graph,
        "val_f1": [round(report.val_f1, 6) for report in reports],
        "latency_ms": round(latency.median_ms, 4),
        "size_mb": round(megabytes(draft), 4),
        "f1": round(objective_values(card, latency)["f1"], 6),
        "seconds": {
            "draft": draft_seconds,
            "train": training_seconds,
            "export": export_seconds,
            "score": score_seconds,
        },
    }


def main() -> None:
    """Record the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="the study's TOML")
    parser.add_argument("table", type=Path, help="the table to write or to complete")
    parser.add_argument("--work", type=Path, default=Path("studies/compute-to-front"), help="where artifacts go")
    parser.add_argument("--part", default="0/1", help="which share of the trainings, for several processes")
    arguments = parser.parse_args()
    part, parts = map(int, arguments.part.split("/"))
    config = StudyConfig.load(arguments.study)
    table: Path = arguments.table
    lines = table.read_text(encoding="utf-8").splitlines() if table.exists() else []
    known = {candidate_of(json.loads(line)["choices"], config).digest for line in lines}
    everything = [(choices, candidate_of(choices, config)) for choices in choices_of_all(config)]
    trainings = list(dict.fromkeys(digest_of(one.architecture, one.training) for _, one in everything))
    mine = set(trainings[part::parts])
    arguments.work.mkdir(parents=True, exist_ok=True)
    lab = Lab(LabConfig.simulated(config.lab.simulated_devices, config.seed), arguments.work / f"lab-{part}.db")
    timed = Timed()
    with Workbench(config, arguments.work / "artifacts", arguments.work / ".cache", lab.measure) as bench:
        for choices, candidate in everything:
            if candidate.digest in known or digest_of(candidate.architecture, candidate.training) not in mine:
                continue
            line = json.dumps(row(choices, candidate, bench, timed), separators=(",", ":"))
            with table.open("a", encoding="utf-8") as stream:
                stream.write(f"{line}\n")


if __name__ == "__main__":
    main()

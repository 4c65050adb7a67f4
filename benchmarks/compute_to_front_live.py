"""Compute until a front is found, live: our engine against plain Ray Tune with Optuna, on real trainings and exports.

    python benchmarks/compute_to_front_live.py [--study STUDY.toml] [--seeds 0 1 2] [--faces FOLDER]
        [--work FOLDER] [--out curves.png]

Both arms search the space of STUDY: they train, compress, repair, export with onnx2tf, score the .tflite and measure it
on a simulated phone, one trial at a time with one thread. ``data/compute_to_front_live.toml`` has 8 candidates to a
training, ``data/compute_to_front_tree.toml`` has 32.

* ours: the driver of ``fer-search run`` as it is: the sampler of STUDY, latency first, shared stages, halving by
  default.
* flat: ``ray.tune.Tuner`` with ``OptunaSearch`` (its TPE, F1 and latency), as its user would write it: every candidate
  is trained whole and measured last, in a folder of its own. The bound is applied when the front is read. What a
  user would have to think of, flat gets for nothing: reused actors with faces and converter warm, and a candidate that
  is proposed again is answered at once. It stops at the best hypervolume of ours, or when its budget is spent.

Compute is the CPU time of the worker and all its processes from their start, and that of the driver, which proposes: in
equal parts of its trials, as nobody notes it by trial. For each seed (of trainings and search),
the CPU seconds to a share of the best hypervolume that either arm reached, and how many times less ours took (">="
where flat never got there, "<=" where ours did not). An arm that is finished in ``--work`` is not run again. About 70
CPU minutes a seed.
"""

import argparse
import json
import math
import os
import re
import shutil
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import optuna
import psutil
from matplotlib.figure import Figure
from ray import tune
from ray.tune.search.optuna import OptunaSearch

from devicelab.measurement import Workload
from fer_core.data.synthetic.plan import RenderOptions
from fer_core.data.synthetic.render import render
from fer_core.errors import CandidateError
from search.artifacts import ArtifactStore
from search.candidate import Candidate
from search.config import StudyConfig
from search.endings import WORST
from search.folder import StudyFolder
from search.front import hypervolume
from search.objectives import DIRECTIONS, Outcome
from search.overseer import Overseer
from search.pipeline import objective_values
from search.record import Report, StudyRecord
from search.space import Given, suggest
from search.stages import Workbench
from search.tuning.driver import drive
from search.tuning.engine import Share, ray_running
from search.tuning.latency import LabPlace, lab_open, measuring
from search.tuning.preparation import prepare
from search.tuning.worker import Task, Walk, workshop

DATA = Path(__file__).resolve().parent / "data"
FACES = RenderOptions(size=64)
SHARES = (0.9, 0.95, 0.99)
JOURNAL, FINISHED = "journal.jsonl", "finished"
ALIKE = 0.999
"""Share of the hypervolume of ours at which flat is as good: latencies of the same graph differ by their noise."""
MOST = 1000
"""Proposals of the flat arm; those that repeat a candidate cost nothing and must not go on for ever."""


class Ended(NamedTuple):
    """A trial that ended: its candidate's digest, the objectives that are known, and what it took."""

    candidate: str
    values: dict[str, float]
    cpu: float
    wall: float


class Meter:
    """CPU time of this process and all that it started, and wall time, since the start of it or the last lap."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._cpu, self._wall = 0.0, self._process.create_time()

    def lap(self) -> tuple[float, float]:
        """Return CPU and wall seconds of the lap that ends now."""
        before = self._cpu, self._wall
        self._cpu, self._wall = sum(map(_cpu_of, self._tree())), time.time()
        return self._cpu - before[0], self._wall - before[1]

    def _tree(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]


def _cpu_of(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def note(folder: Path, candidate: Candidate, values: Any, took: tuple[float, float]) -> None:  # noqa: ANN401
    """Write down in *folder* how a trial of *candidate* ended and what it *took*."""
    ended = Ended(candidate.digest, values, round(took[0], 3), round(took[1], 3))
    with (folder / JOURNAL).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(ended._asdict()) + "\n")


def journal(folder: Path) -> list[Ended]:
    """Return the trials that ended in *folder*, in their order."""
    path = folder / JOURNAL
    return [Ended(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


@contextmanager
def metered(task: Task, overseer: Overseer) -> Iterator[Walk]:
    """Set a worker up as ``fer-search run`` does, with one thread, and note what each trial takes."""
    meter = Meter()
    with workshop(replace(task, share=Share(cpus=1.0, gpus=0.0)), overseer) as walk:

        def noted(candidate: Candidate) -> Generator[Report | Outcome]:
            with closing(walk(candidate)) as steps:
                for told in steps:
                    if isinstance(told, Outcome):  # a trial that is stopped early counts with the next
                        note(task.folder, candidate, told.values, meter.lap())
                    yield told

        yield noted


def whole(folder: StudyFolder, place: LabPlace) -> type[tune.Trainable]:
    """Return the trainable of the flat arm: a candidate from its training to its latency in one step."""
    config, path, cache = folder.config, folder.path, folder.cache_path

    class Whole(tune.Trainable):  # type: ignore[misc] # Ray is untyped
        def setup(self, answers: dict[str, Any]) -> None:
            import torch

            torch.set_num_threads(1)
            self._meter, self._open = Meter(), ExitStack()
            measure = self._open.enter_context(measuring(place))
            self._bench = self._open.enter_context(Workbench(config, path, cache, measure))
            self._known: dict[str, dict[str, float]] = {}
            self.reset_config(answers)

        def reset_config(self, answers: dict[str, Any]) -> bool:
            self._candidate = suggest(Given(answers), config)
            return True

        def step(self) -> dict[str, Any]:
            candidate = self._candidate
            if candidate.digest not in self._known:
                with TemporaryDirectory(dir=path) as own:
                    self._bench.store = ArtifactStore(Path(own))
                    self._known[candidate.digest] = evaluated(self._bench, candidate)
                note(path, candidate, self._known[candidate.digest], self._meter.lap())
            return {**self._known[candidate.digest], "done": True}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            """Keep nothing: Tune asks for it when it stops everything."""

        def cleanup(self) -> None:
            self._open.close()

    return Whole


def evaluated(bench: Workbench, candidate: Candidate) -> dict[str, float]:
    """Train *candidate* whole, export and score it, measure it last, and return its objectives."""
    try:
        list(bench.train(candidate))
        artifact = bench.export(candidate)
        card = bench.score(artifact)
    except CandidateError:
        return {name: WORST[name] for name in bench.config.objectives}
    latency = bench.measure(Workload.of(artifact.path, candidate.deployment.threads))
    return {str(name): value for name, value in objective_values(card, latency).items()}


@dataclass(frozen=True)
class Space:
    """The space of *config* as Optuna's users define one; Tune saves it with its searcher, which a closure forbids."""

    config: StudyConfig

    def __call__(self, trial: optuna.Trial) -> None:
        """Ask for what varies."""
        suggest(trial, self.config)


class Enough(tune.Stopper):  # type: ignore[misc] # Ray is untyped
    """Ends the flat arm: its front is as good as *target*, or *seconds* of CPU time or *minutes* are spent."""

    def __init__(self, folder: StudyFolder, target: float, seconds: float, minutes: float) -> None:
        self._folder, self._target, self._seconds = folder, target, seconds
        self._end = time.monotonic() + 60 * minutes
        self._seen = -1
        self.reason = ""

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:  # noqa: ARG002 - Tune's signature
        """Stop no single trial."""
        return False

    def stop_all(self) -> bool:
        """Look at the journal."""
        ended = journal(self._folder.path)
        if len(ended) > max(self._seen, 0):
            curve = curve_of(self._folder.config, ended)
            say(f"{self._folder.path.name}: {len(ended)} trials, {curve[-1].cpu:.0f} s, {curve[-1].volume:.4f}")
            if curve[-1].volume >= ALIKE * self._target:
                self.reason = "as good as ours"
            elif curve[-1].cpu >= self._seconds:
                self.reason = "budget spent"
        self._seen = len(ended)
        if time.monotonic() >= self._end:
            self.reason = self.reason or "time is up"
        return bool(self.reason)


def run_ours(folder: StudyFolder) -> str:
    """Run the study in *folder* as ``fer-search run`` does; return why it ended."""

    def look(record: StudyRecord) -> None:
        curve = curve_of(folder.config, journal(folder.path))
        if curve:
            say(f"{folder.path.name}: {len(record.told)} trials, {curve[-1].cpu:.0f} s, {curve[-1].volume:.4f}")

    return drive(folder, metered, on_change=look)


def run_flat(folder: StudyFolder, target: float, seconds: float, minutes: float) -> str:
    """Let plain Ray Tune with Optuna search in *folder*; return why it ended."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    config = folder.config

    names = list(config.objectives)
    search = OptunaSearch(Space(config), metric=names, mode=[DIRECTIONS[name][:3] for name in names], seed=config.seed)
    enough = Enough(folder, target, seconds, minutes)
    with ray_running(folder.path / "ray.json") as temporary, lab_open(config, folder, folder.path.name) as place:
        tune.Tuner(
            whole(folder, place),
            tune_config=tune.TuneConfig(
                search_alg=search,
                num_samples=MOST,
                max_concurrent_trials=config.budget.concurrency,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(name="flat", storage_path=str(temporary / "tune"), stop=enough, verbose=0),
        ).fit()
    return enough.reason or f"{MOST} proposals"


def run(arm: str, seed: int, arguments: argparse.Namespace, target: float = math.inf) -> StudyFolder:
    """Run *arm* with *seed*, unless it is finished already; return its folder."""
    path = arguments.work.resolve() / f"{arm}-{seed}"
    folder = StudyFolder(path)
    text = arguments.study.read_text(encoding="utf-8").replace("seed = 0", f"seed = {seed}", 1)
    if arguments.trials is not None:
        text = re.sub("^trials = .*$", f"trials = {arguments.trials}", text, count=1, flags=re.MULTILINE)
    text = f"root = {json.dumps(str(arguments.faces.resolve()))}\n{text}"
    if (path / FINISHED).exists() and folder.config_path.read_text(encoding="utf-8") == text:
        return folder
    shutil.rmtree(path, ignore_errors=True)
    folder.artifacts_path.mkdir(parents=True)
    folder.config_path.write_text(text, encoding="utf-8")
    prepare(folder)
    budget = arguments.flat_seconds, arguments.flat_minutes
    before = time.process_time()
    reason = run_ours(folder) if arm == "ours" else run_flat(folder, target, *budget)
    if reason == "interrupted":
        raise KeyboardInterrupt
    finish = {"reason": reason, "driver": round(time.process_time() - before, 3)}
    (path / FINISHED).write_text(json.dumps(finish), encoding="utf-8")
    return folder


class Point(NamedTuple):
    """CPU and wall seconds spent so far, and the hypervolume share reached."""

    cpu: float
    wall: float
    volume: float


def curve_of(config: StudyConfig, ended: Sequence[Ended], driver: float = 0.0) -> list[Point]:
    """Return hypervolume over compute, a point per trial of *ended*; each has its part of the *driver*'s CPU seconds.

    The corner is the bound of the latency, so what is too slow spans no volume.
    """
    names = config.objectives
    directions, corner = [DIRECTIONS[name] for name in names], [config.reference_point[name] for name in names]
    rows = np.array([[one.values.get(name, np.nan) for name in names] for one in ended]).reshape(-1, len(names))
    volumes = [hypervolume(rows[: place + 1], directions, corner).share for place in range(len(ended))]
    cpu, wall = np.cumsum([one.cpu + driver / len(ended) for one in ended]), np.cumsum([one.wall for one in ended])
    return [Point(*point) for point in zip(cpu.tolist(), wall.tolist(), volumes, strict=True)]


def reached(curve: Sequence[Point], volume: float) -> float:
    """Return the CPU seconds at which *curve* reaches *volume*; infinite if it never does."""
    return next((point.cpu for point in curve if point.volume >= volume - 1e-9), math.inf)


class Arm(NamedTuple):
    """How an arm went, why it ended, and the CPU seconds of its driver."""

    curve: list[Point]
    reason: str
    driver: float


def arm_in(folder: StudyFolder) -> Arm:
    """Return the arm that finished in *folder*."""
    finish = json.loads((folder.path / FINISHED).read_text(encoding="utf-8"))
    return Arm(curve_of(folder.config, journal(folder.path), finish["driver"]), **finish)


class Compared(NamedTuple):
    """A seed: both arms, the best volume, and how many candidates both evaluated, of which with equal F1."""

    ours: Arm
    flat: Arm
    best: float
    both: int
    equal: int


def compared(seed: int, arguments: argparse.Namespace) -> Compared:
    """Run both arms with *seed* and compare them."""
    mine = run("ours", seed, arguments)
    ours = arm_in(mine)
    theirs = run("flat", seed, arguments, ours.curve[-1].volume)
    flat = arm_in(theirs)
    objectives = len(mine.config.objectives)
    known = {one.candidate: one.values for one in journal(mine.path) if len(one.values) >= objectives}
    twins = [(one.values, known[one.candidate]) for one in journal(theirs.path) if one.candidate in known]
    equal = sum(one["f1"] == other["f1"] for one, other in twins)  # a phone's readings differ by its noise
    best = max(arm.curve[-1].volume for arm in (ours, flat))
    return Compared(ours, flat, best, len(twins), equal)


def ratio(seed: Compared, share: float) -> tuple[str, float]:
    """Return how many times less ours took to *share* of the best, a bound where one arm never got there."""
    ours, flat = (reached(arm.curve, share * seed.best) for arm in (seed.ours, seed.flat))
    if math.isinf(flat):
        return ">=", seed.flat.curve[-1].cpu / ours
    return ("<=", flat / seed.ours.curve[-1].cpu) if math.isinf(ours) else ("", flat / ours)


def table(seeds: dict[int, Compared]) -> str:
    """Return the comparison in lines."""
    lines = [
        f"{'seed':>4} {'arm':4} {'trials':>6} {'CPU s':>6} {'driver':>6} {'wall s':>6} {'best':>6}"
        + "".join(f"{f'CPU s to {share:.0%}':>14}" for share in SHARES)
    ]
    for number, seed in seeds.items():
        for name, arm in (("ours", seed.ours), ("flat", seed.flat)):
            times = [reached(arm.curve, share * seed.best) for share in SHARES]
            shown = "".join(f"{'never' if math.isinf(value) else f'{value:.0f}':>14}" for value in times)
            last = arm.curve[-1]
            lines.append(
                f"{number:>4} {name:4} {len(arm.curve):>6} {last.cpu:>6.0f} {arm.driver:>6.0f} {last.wall:>6.0f} "
                f"{last.volume:>6.4f}{shown}  {arm.reason}"
            )
        ratios = "".join(f"{f'{mark} {value:.1f}':>14}" for mark, value in (ratio(seed, share) for share in SHARES))
        lines.append(f"{number:>4} {'times less':38}{ratios}   equal F1: {seed.equal} of {seed.both}")
    middle = []
    for share in SHARES:
        marks, values = zip(*(ratio(seed, share) for seed in seeds.values()), strict=True)
        bounds = set(marks) - {""}
        middle.append("unknown" if len(bounds) > 1 else f"{''.join(bounds)} {np.median(values):.1f}")
    return "\n".join([*lines, f"{'median, times less (goal 5)':43}" + "".join(f"{text:>14}" for text in middle)])


def draw(seeds: dict[int, Compared], path: Path) -> None:
    """Draw both curves of every seed."""
    figure = Figure(figsize=(4 * len(seeds), 3), layout="constrained")
    for place, (number, seed) in zip(figure.subplots(1, len(seeds), squeeze=False)[0], seeds.items(), strict=True):
        for label, arm, colour in (("ours", seed.ours, "#0072B2"), ("flat", seed.flat, "#D55E00")):
            times, volumes = [point.cpu for point in arm.curve], [point.volume for point in arm.curve]
            place.step([0.0, *times], [0.0, *volumes], where="post", label=label, color=colour)
        place.set(title=f"seed {number}", xlabel="CPU seconds", ylabel="hypervolume", ylim=(0, None))
        place.legend()
    figure.savefig(path)


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=DATA / "compute_to_front_live.toml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--faces", type=Path, help="made by fer-data render --size 64; rendered where left out")
    parser.add_argument("--work", type=Path, default=Path("studies/compute-to-front-live"), help="where results go")
    parser.add_argument("--trials", type=int, help="of ours; as the study says where left out")
    parser.add_argument("--flat-seconds", type=float, default=3600.0, help="CPU seconds that flat may spend")
    parser.add_argument("--flat-minutes", type=float, default=math.inf, help="wall minutes that it may take")
    parser.add_argument("--out", type=Path, help="a picture of the curves to write")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if arguments.faces is None:
        arguments.faces = arguments.work / "faces"
        render(arguments.faces, FACES, processes=1)
    seeds = {seed: compared(seed, arguments) for seed in arguments.seeds}
    print(table(seeds))
    if arguments.out is not None:
        draw(seeds, arguments.out)


if __name__ == "__main__":
    main()

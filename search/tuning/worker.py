"""What runs in Ray's processes: journeys, one step at a time."""

import time
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.tune import Trainable

from devicelab.errors import DeviceError, DeviceLabError, HostError, LeaseError, NoDeviceError, ServiceError
from fer_core.errors import FerError
from search.budget import Spent
from search.candidate import Candidate
from search.config import StudyConfig
from search.errors import ArtifactError, Party, SearchError
from search.folder import StudyFolder
from search.objectives import Outcome
from search.overseer import Overseer
from search.record import Report
from search.tuning.engine import Share
from search.tuning.latency import LabPlace, measuring
from search.turns import Turns

BLAME: tuple[tuple[type[Exception], Party, bool], ...] = (
    (DeviceError, "phone", True),
    (NoDeviceError, "lab", True),
    (HostError, "lab", True),
    (LeaseError, "lab", True),
    (ServiceError, "lab", False),  # its client has been patient already
    (ArtifactError, "worker", False),
    (MemoryError, "worker", True),
)
"""Whose fault an error is, and whether another worker, or another time, may fare better; the first that fits."""

type Walk = Callable[[Candidate], Generator[Report | Outcome]]
"""Takes a candidate through its journey."""


@dataclass(frozen=True, slots=True)
class Task:
    """What every worker of a study knows: the study, its folder, where latencies come from, what a turn may use."""

    config: StudyConfig
    folder: Path
    lab: LabPlace
    share: Share


type Workshop = Callable[[Task, Overseer], AbstractContextManager[Walk]]
"""Sets a process up for journeys, whose stages the overseer watches, and clears up after the last one."""


@contextmanager
def workshop(task: Task, overseer: Overseer) -> Iterator[Walk]:
    """Keep converter, scorer and face sets warm in this process, and walk candidates with them."""
    import torch  # the driver, which imports this module, has no use for it

    from search.foresight import Foresight
    from search.pipeline import journey
    from search.stages import Workbench

    torch.set_num_threads(task.share.threads)
    folder = StudyFolder(task.folder)
    with (
        measuring(task.lab) as measure,
        Workbench(
            task.config, folder.artifacts_path, folder.cache_path, measure, waiting=overseer.waiting, turn=overseer.turn
        ) as bench,
    ):
        bound = task.config.constraints.latency_ms if task.config.lab.predict else None
        foresight, clock = Foresight(folder.latencies_path, bound), overseer.stage_time
        yield lambda candidate: journey(candidate, bench, task.config.constraints, overseer, foresight, clock=clock)


def trainable(task: Task, workshop: Workshop) -> type[Trainable]:
    """Return the class that Tune runs: each step of it is one report, or the outcome, of a journey.

    A result has the key ``report`` or ``outcome`` (JSON), or ``crash`` (one line) where an error that is not the
    candidate's ended the journey; then also ``trace``, ``blames`` (a ``Party``) and ``again``: whether another worker,
    or another time, may fare better. ``spent`` is what the step took (JSON: Tune takes dicts apart). The death of the
    process needs no word: Tune tells of it.
    """
    folder = StudyFolder(task.folder)

    class Journey(Trainable):  # type: ignore[misc] # Ray is untyped
        def setup(self, config: dict[str, Any]) -> None:
            here = folder.turns_path / ray.get_runtime_context().get_node_id()
            self._overseer = Overseer(task.config.limits, Turns(here, task.share.beside).taken)
            self._workshop = workshop(task, self._overseer)
            self._walk = self._workshop.__enter__()
            self._begin(config)

        def reset_config(self, config: dict[str, Any]) -> bool:
            self._steps.close()
            self._begin(config)
            return True

        def step(self) -> dict[str, Any]:
            meter = Meter(task.share.gpus, self._overseer.turn_time)
            try:
                told = next(self._steps)
            except Exception as error:  # noqa: BLE001 - told to the driver, which decides
                self._overseer.end()
                blames, again = blame(error)
                said = {"crash": in_one_line(error), "trace": traceback.format_exc()}
                return {**said, "blames": blames, "again": again, "done": True}
            if isinstance(told, Outcome):
                self._overseer.end()
                ended = portable(told, folder.artifacts_path).model_dump_json()
                return {"outcome": ended, "spent": meter.spent().model_dump_json(), "done": True}
            spent = meter.spent(known=told.rung > 0)
            return {
                "report": told.model_dump_json(),
                "spent": spent.model_dump_json(),
                "epoch": told.rung,
                **told.values,
            }

        def cleanup(self) -> None:
            self._steps.close()
            self._overseer.end()
            self._workshop.__exit__(None, None, None)

        def _begin(self, config: dict[str, Any]) -> None:
            self._overseer.begin(folder.notes_path / str(config["number"]))
            self._steps = self._walk(Candidate.model_validate_json(config["candidate"]))

    return Journey


class Meter:
    """Reads what this process spends from now on, where *gpus* go with a turn; its clocks are arguments."""

    def __init__(
        self, gpus: float, turn_time: Callable[[], float], cpu: Callable[[], float] = time.process_time
    ) -> None:
        self._gpus, self._turn_time, self._cpu = gpus, turn_time, cpu
        self._begun = cpu(), turn_time()

    def spent(self, *, known: bool = True) -> Spent:
        """Return what was spent; no GPU time before the latency is *known*, until when nothing is trained."""
        cpu, turns = self._cpu() - self._begun[0], self._turn_time() - self._begun[1]
        return Spent(cpu_seconds=round(cpu, 6), gpu_seconds=round(turns * self._gpus, 6) if known else 0.0)


def blame(error: Exception) -> tuple[Party, bool]:
    """Return who is to blame for *error*, which is not the candidate's, and whether to try again.

    Out of memory counts against the worker at first: beside others there was no room for this candidate.
    """
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported here
        return "worker", True
    return next(((party, again) for kind, party, again in BLAME if isinstance(error, kind)), ("us", False))


def portable(outcome: Outcome, artifacts: Path) -> Outcome:
    """Return *outcome* with the path of its artifact below *artifacts*, so that a study's folder can be moved."""
    artifact = outcome.artifact
    if artifact is None or not artifact.path.is_relative_to(artifacts):
        return outcome
    below = artifact.model_copy(update={"path": artifact.path.relative_to(artifacts)})
    return outcome.model_copy(update={"artifact": below})


def in_one_line(error: BaseException) -> str:
    """Return *error* as a message; with its type where it is not one of our own."""
    message = " ".join(str(error).split())
    if isinstance(error, SearchError | FerError | DeviceLabError):
        return message
    return f"{type(error).__name__}: {message}"

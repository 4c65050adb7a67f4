"""What runs in Ray's processes: journeys, one step at a time."""

import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.tune import Trainable

from devicelab.errors import DeviceError, DeviceLabError, NoDeviceError
from fer_core.errors import FerError
from search.candidate import Candidate
from search.config import StudyConfig
from search.errors import SearchError
from search.folder import StudyFolder
from search.objectives import Outcome
from search.record import Report
from search.tuning.latency import LabPlace, measuring

type Walk = Callable[[Candidate], Generator[Report | Outcome]]
"""Takes a candidate through its journey."""


@dataclass(frozen=True, slots=True)
class Task:
    """What every worker of a study knows: the study, its folder, where latencies come from, its share of threads."""

    config: StudyConfig
    folder: Path
    lab: LabPlace
    threads: int


type Workshop = Callable[[Task], AbstractContextManager[Walk]]
"""Sets a process up for journeys, and clears up after the last one."""


@contextmanager
def workshop(task: Task) -> Iterator[Walk]:
    """Keep converter, scorer and face sets warm in this process, and walk candidates with them."""
    import torch  # the driver, which imports this module, has no use for it

    from search.pipeline import journey
    from search.stages import Workbench

    torch.set_num_threads(task.threads)
    folder = StudyFolder(task.folder)
    with (
        measuring(task.lab) as measure,
        Workbench(task.config, folder.artifacts_path, folder.cache_path, measure) as bench,
    ):
        yield lambda candidate: journey(candidate, bench, task.config.constraints)


def trainable(task: Task, workshop: Workshop) -> type[Trainable]:
    """Return the class that Tune runs: each step of it is one report, or the outcome, of a journey.

    A result has the key ``report`` or ``outcome`` (JSON); ``crash`` (one line) and ``trace`` where an error of
    ours, or of the machine's disk, ended the journey: no other worker would fare better. A phone's error is raised,
    and the death of the process needs no word: Tune starts the trial again in both cases.
    """
    artifacts = StudyFolder(task.folder).artifacts_path

    class Journey(Trainable):  # type: ignore[misc] # Ray is untyped
        def setup(self, config: dict[str, Any]) -> None:
            self._workshop = workshop(task)
            self._walk = self._workshop.__enter__()
            self._begin(config)

        def reset_config(self, config: dict[str, Any]) -> bool:
            self._steps.close()
            self._begin(config)
            return True

        def step(self) -> dict[str, Any]:
            try:
                told = next(self._steps)
            except (DeviceError, NoDeviceError):
                raise
            except Exception as error:  # noqa: BLE001 - told to the driver, which stops the run
                return {"crash": in_one_line(error), "trace": traceback.format_exc(), "done": True}
            if isinstance(told, Outcome):
                return {"outcome": portable(told, artifacts).model_dump_json(), "done": True}
            return {"report": told.model_dump_json(), "epoch": told.rung, **told.values}

        def cleanup(self) -> None:
            self._steps.close()
            self._workshop.__exit__(None, None, None)

        def _begin(self, config: dict[str, Any]) -> None:
            self._steps = self._walk(Candidate.model_validate_json(config["candidate"]))

    return Journey


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

"""Where a study's latencies come from: a lab of its own, or a lab's service. The one place that decides.

A lab of its own lives in an actor of Ray's on the driver's machine; a service is asked by each worker directly.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import ray
from ray.exceptions import RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from devicelab.client import LabClient, find_token
from devicelab.config import LabConfig
from devicelab.lab import Lab
from devicelab.measurement import Measurement, Workload
from search.config import StudyConfig
from search.folder import StudyFolder


class Measure(Protocol):
    """Measures a workload; *background* lets others go first."""

    def __call__(self, workload: Workload, *, background: bool = False) -> Measurement:
        """Return the measurement."""


CHECK_SECONDS = 10.0
"""How long a service may be away when a study starts; later it may for much longer (``devicelab.client``)."""


@dataclass(frozen=True, slots=True)
class OwnLab:
    """A lab of the study's own: the name of its actor in Ray."""

    actor: str


@dataclass(frozen=True, slots=True)
class LabService:
    """A lab's service: where it is, what lets us in, and the name under which we share its phones."""

    url: str
    token: str = field(repr=False)
    search: str


type LabPlace = OwnLab | LabService


class SharedLab:
    """The lab as a Ray actor: one process, the only writer of the lab's store, a thread for each trial that waits."""

    def open(self, config: LabConfig, store: Path) -> None:
        """Open the lab; errors come back typed, which those of an actor's constructor do not."""
        self._lab = Lab(config, store)

    def measure(self, workload: Workload, *, background: bool = False) -> Measurement:
        """See ``devicelab.lab.Lab.measure``."""
        return self._lab.measure(workload, background=background)


def check_lab(config: StudyConfig) -> None:
    """Refuse a study whose lab cannot be right, before anything starts.

    Raises:
        devicelab.errors.DeviceLabError: the lab's file, or its address or token, cannot be right, or the service is
            not there.
    """
    if config.lab.url is None:
        lab_config(config)
        return
    with LabClient(config.lab.url, find_token(config.lab.token_file), patience=CHECK_SECONDS) as client:
        client.get("/api/v1/status")


@contextmanager
def lab_open(config: StudyConfig, folder: StudyFolder, name: str) -> Iterator[LabPlace]:
    """Bring up the lab that *config* names, as the actor *name* if it is the study's own.

    Raises:
        devicelab.errors.DeviceLabError: it cannot be opened.
    """
    if config.lab.url is not None:
        yield LabService(config.lab.url, find_token(config.lab.token_file), config.name)
        return
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    waiting = {"max_concurrency": config.in_flight}
    lab = ray.remote(SharedLab).options(name=name, num_cpus=0, scheduling_strategy=here, **waiting).remote()
    answer(lab.open.remote(lab_config(config), folder.lab_store))
    yield OwnLab(name)
    del lab  # the actor lives as long as this handle


@contextmanager
def measuring(place: LabPlace) -> Iterator[Measure]:
    """Yield what measures a workload at *place*; for workers."""
    if isinstance(place, LabService):
        with LabClient(place.url, place.token) as client:
            yield partial(client.measure, search=place.search)
        return
    lab = ray.get_actor(place.actor)

    def measure(workload: Workload, *, background: bool = False) -> Measurement:
        measurement: Measurement = answer(lab.measure.remote(workload, background=background))
        return measurement

    yield measure


def answer(reference: Any) -> Any:  # noqa: ANN401 - whatever was asked for
    """Return the result of a call to an actor; raise what the call raised, without Ray's wrapping."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise error.cause from None


def lab_config(config: StudyConfig) -> LabConfig:
    """Return the lab of its own that *config* names, or simulated phones.

    Raises:
        devicelab.errors.ConfigError: the lab's file cannot be right.
    """
    if config.lab.config is not None:
        return LabConfig.load(config.lab.config)
    return LabConfig.simulated(config.lab.simulated_devices, config.seed)

"""The state of a training on disk: written atomically after each epoch, read back when the training goes on."""

import hashlib
import logging
import os
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from fer_core.errors import ConfigError
from fer_core.specs import TrainingSpec

logger = logging.getLogger(__name__)

UNREADABLE = (
    OSError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    AttributeError,
    pickle.UnpicklingError,
)
"""What ``torch.load`` raises for a damaged file, depending on where the damage is."""


@dataclass(frozen=True, slots=True)
class EpochReport:
    """What one epoch achieved.

    ``epoch`` counts from 1 to ``epochs``. ``train_loss`` is the mean of what was minimised, in nats;
    ``val_f1`` (macro) and ``val_accuracy`` are fractions.
    """

    epoch: int
    epochs: int
    train_loss: float
    val_f1: float
    val_accuracy: float
    seconds: float


class Stateful(Protocol):
    """What can be saved and restored: a network, an optimiser."""

    def state_dict(self) -> dict[str, Any]:
        """Return its state."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Take on *state_dict*."""


class Checkpoint:
    """The file at *path* that belongs to one training: *spec* on the face set with digest *data*."""

    def __init__(self, path: Path, spec: TrainingSpec, data: str) -> None:
        self.path = path
        self.training = hashlib.sha256(f"{spec.model_dump_json()} {data}".encode()).hexdigest()

    def save(self, parts: Mapping[str, Stateful], reports: Sequence[EpochReport]) -> None:
        """Replace the file by the state of all *parts*, by name, after the last of *reports*."""
        states = {name: part.state_dict() for name, part in parts.items()}
        about = {"training": self.training, "reports": [asdict(report) for report in reports]}
        _write({**about, "parts": states}, self.path)

    def restore(self, parts: Mapping[str, Stateful]) -> tuple[EpochReport, ...]:
        """Put the saved state into *parts*; return the reports so far, none when there is no file.

        A file that cannot be read is logged and counts as absent: the training starts again.

        Raises:
            ConfigError: the file belongs to another training or another network.
        """
        if not self.path.exists():
            return ()
        state = _read(self.path)
        if state is None:
            return ()
        if state.get("training") != self.training:
            raise ConfigError(f"{self.path} is the checkpoint of another training; delete it or name another file")
        try:
            for name, part in parts.items():
                part.load_state_dict(state["parts"][name])
        except (RuntimeError, ValueError) as error:
            raise ConfigError(f"{self.path} is the checkpoint of another network; delete it ({error})") from error
        return tuple(EpochReport(**report) for report in state["reports"])


def _read(path: Path) -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        logger.warning("%s cannot be read (%s): training starts again", path, error)
        return None
    return state


def _write(state: dict[str, Any], path: Path) -> None:
    """Write *state* to *path* so that the file is the old one or the new one, at every moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)

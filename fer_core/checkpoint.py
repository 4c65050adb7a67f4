"""The state of a training on disk: written atomically after each epoch, read back when the training goes on."""

import hashlib
import logging
import os
import pickle
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

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

    ``epoch`` counts from 1 to ``epochs``. ``train_loss`` is the mean cross-entropy with label smoothing, in nats;
    ``val_f1`` (macro) and ``val_accuracy`` are fractions.
    """

    epoch: int
    epochs: int
    train_loss: float
    val_f1: float
    val_accuracy: float
    seconds: float


class Checkpoint:
    """The file at *path* that belongs to one training: *spec* on the face set with digest *data*."""

    def __init__(self, path: Path, spec: TrainingSpec, data: str) -> None:
        self.path = path
        self.training = hashlib.sha256(f"{spec.model_dump_json()} {data}".encode()).hexdigest()

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, reports: Sequence[EpochReport]) -> None:
        """Replace the file by the state after the last of *reports*."""
        state = {
            "training": self.training,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "reports": [asdict(report) for report in reports],
        }
        _write(state, self.path)

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[EpochReport, ...]:
        """Put the saved state into *model* and *optimizer*; return the reports so far, none when there is no file.

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
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
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

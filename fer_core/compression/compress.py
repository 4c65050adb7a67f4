"""Compression in its one legal order: prune, then cluster the weights. Quantization happens in ``fer_core.export``."""

import copy

from torch import nn

from fer_core.compression.channels import remove_channels
from fer_core.compression.pruning import bake, prune
from fer_core.compression.weight_clustering import share_weights
from fer_core.data.faces import FaceSet
from fer_core.specs import CompressionSpec, TrainingSpec
from fer_core.training import fine_tune, recalibrate

FINE_TUNING_RATE = 0.1
"""Peak learning rate of fine-tuning as a fraction of the training's."""


def shape(model: nn.Module, spec: CompressionSpec) -> nn.Module:
    """Give *model*, in place, the layers that ``compress`` with *spec* leaves, whatever the weights; and return it.

    An untrained network shaped like this has the graph of the compressed one, and takes its state dict.
    """
    if spec.pruning == "structured":
        remove_channels(model, spec.pruning_ratio, spec.channel_importance)
    return model


def compress(
    model: nn.Module, spec: CompressionSpec, training: TrainingSpec, train: FaceSet, *, device: str = "cpu"
) -> nn.Module:
    """Return a pruned and weight-clustered copy of *model* in evaluation mode, on *device*; *model* is left as it was.

    After each technique the copy is trained on *train* for ``spec.fine_tune_epochs`` as *training* says, with a lower
    learning rate: zeros stay zero and clusters keep their members. Deterministic on the CPU, as
    ``fer_core.training.fit`` is.

    Raises:
        DivergedError: the loss became NaN or infinite while fine-tuning.
    """
    model = shape(copy.deepcopy(model).cpu(), spec).to(device)
    if spec.pruning == "magnitude":
        prune(model, spec.pruning_ratio)
    if spec.pruning != "none":
        _repair(model, spec, training, train, device)
    if spec.clusters is not None:
        share_weights(model, spec.clusters)
        _repair(model, spec, training, train, device)
    return model.eval()


def _repair(model: nn.Module, spec: CompressionSpec, training: TrainingSpec, train: FaceSet, device: str) -> None:
    """Fine-tune *model* with its held weights, then let them go."""
    if spec.fine_tune_epochs:
        changes = {"epochs": spec.fine_tune_epochs, "learning_rate": FINE_TUNING_RATE * training.learning_rate}
        fine_tune(model, train, training.model_copy(update=changes), device=device)
    else:
        recalibrate(model, train, device=device)
    bake(model)

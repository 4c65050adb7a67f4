"""Quantization-aware training: a trained (pruned, clustered) network learns to live with int8, and with which ranges.

The last of the techniques. The network is traced as LiteRT will run it (``fer_core.integer.graph``), every
weight and every stored value is rounded as int8 would round it, and training goes on with a low learning rate. Ranges
follow the weights, then stand still while the weights settle. The float network is the teacher, unless the training has
one: Mishra and Marr, "Apprentice" (ICLR 2018, https://arxiv.org/abs/1711.05852). Statistics and factors of batch norms
stay: they are part of the weights by now. What is pruned or shared stays pruned or shared.
"""

import copy
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils import parametrize

from fer_core.compression.pruning import Masked, weighted_layers
from fer_core.compression.quantization import calibration_images
from fer_core.compression.weight_clustering import Shared
from fer_core.data.faces import FaceSet
from fer_core.integer.graph import IntegerGraph, fold, integer_graph, round_weights, write_back
from fer_core.integer.learned import RANGES, watch
from fer_core.specs import CompressionSpec, TrainingSpec
from fer_core.training import fine_tune

QUANTIZED_RATE = 0.05
"""Peak learning rate as a fraction of the training's. Statistics of batch norms stand still, so weights must not run
away from them. MobileNetV3-Small, 6 epochs from scratch, macro-F1 on 1,927 rendered faces at 64 px: float32 46.6, int8
calibrated 46.4, behind 2 epochs at 0.01 without a teacher 46.8, at 0.01 / 0.05 with the float network as teacher 46.9 /
48.3 (one run each)."""
FOLLOWING = 0.5
"""Ranges follow the weights over this share of the steps."""


def train_quantized(
    model: nn.Module, spec: CompressionSpec, training: TrainingSpec, train: FaceSet, *, device: str = "cpu"
) -> nn.Module:
    """Return a copy of *model* that was trained as int8 on *train* for ``spec.qat_epochs``, in evaluation mode.

    The copy is a float network of the same layers; it carries the learned ranges as the buffer ``RANGES``, for
    ``fer_core.export``. Where ``spec`` prunes or clusters, *model* has been through ``compress``. Deterministic on the
    CPU, as ``fer_core.training.fit`` is. Dropout and averaging are those of ``fine_tune``.

    Raises:
        ConversionError: the network cannot be traced.
        DivergedError: the loss became NaN or infinite.
    """
    teacher = None if training.teacher else copy.deepcopy(model).requires_grad_(requires_grad=False).eval()
    model = copy.deepcopy(model).cpu().eval()
    graph = integer_graph(model, train.images.shape[1])
    if spec.pruning == "magnitude" or spec.clusters is not None:
        _hold(graph.root, clustered=spec.clusters is not None)
    fold(graph)
    images = calibration_images(train, spec.calibration_images, training.seed)
    watch(graph, images)
    for activation in graph.activations:
        activation.settle()
    round_weights(graph)
    changes = {"epochs": spec.qat_epochs, "learning_rate": QUANTIZED_RATE * training.learning_rate}
    recipe = training.model_copy(update=changes)
    fine_tune(graph.network, train, recipe, before_step=_settling(graph), teacher=teacher, device=device)
    graph.network.cpu()
    write_back(graph, model)
    model.register_buffer(RANGES, torch.tensor([activation.range for activation in graph.activations]))
    return model


def _settling(graph: IntegerGraph) -> Callable[[float], None]:
    def before_step(done: float) -> None:
        for activation in graph.activations:
            activation.follows = not activation.fixed and done < FOLLOWING

    return before_step


def _hold(network: nn.Module, *, clustered: bool) -> None:
    """Let zeros of *network* stay zeros and, where it is *clustered*, equal weights of a layer equal."""
    for _, layer, weight in list(weighted_layers(network)):
        zero = weight == 0
        if not clustered:
            parametrize.register_parametrization(layer, "weight", Masked(~zero))
            continue
        values, assignments = torch.unique(weight, return_inverse=True)
        holds_zero = bool(zero.any())
        if holds_zero:  # cluster 0 is the constant zero: it changes places with the values below it
            middle = int((values < 0).sum())
            assignments = torch.where(zero, 0, torch.where(assignments < middle, assignments + 1, assignments))
        parametrize.register_parametrization(layer, "weight", Shared(assignments, holds_zero=holds_zero))

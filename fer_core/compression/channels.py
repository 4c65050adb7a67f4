"""Structured pruning: channels leave the network, so the exported graph is smaller and a phone is faster.

Which layers must lose the same channels (through additions, depthwise convolutions, squeeze-and-excitation, NASNet's
concatenations) is worked out by torch-pruning's dependency graph: Fang et al., "DepGraph: Towards any structural
pruning" (CVPR 2023, https://arxiv.org/abs/2301.12900). How many leave is decided here, and depends on the architecture
and the ratio alone, never on the weights: the untrained network has the graph of the trained one, so its latency is
known before training (docs/adr/0004). Weights only say *which* channels leave.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, assert_never

import torch
from torch import nn

from fer_core.specs import ChannelImportance

MULTIPLE = 8
"""Channel counts are rounded to multiples of this: kernels work on 4 (float) or 8 (integer) channels at a time."""
_TRACED_SIDE = 64
"""Side of the picture that shows the dependencies, in pixels; channels do not depend on it."""


def kept(channels: int, ratio: float) -> int:
    """Return how many of *channels* stay: the multiple of 8 next to (1 - ratio) x channels, 8 or more, never more."""
    return min(channels, max(MULTIPLE, int((1 - ratio) * channels / MULTIPLE + 0.5) * MULTIPLE))


def remove_channels(model: nn.Module, ratio: float, importance: ChannelImportance = "l2") -> None:
    """Remove about the share *ratio* of the channels of every layer of *model*, in place; the classes stay.

    The least important channels leave: by the mean norm of all weights that a channel owns (``"l1"``, ``"l2"``; Li et
    al., https://arxiv.org/abs/1608.08710, over all coupled layers), or by the scales of its batch norms
    (``"bn_scale"``: Liu et al., "network slimming", https://arxiv.org/abs/1708.06519; squeeze-and-excitation has none,
    so its channels are ranked by ``"l2"``). Ties are broken by position.
    *model* is on the CPU; it is left in evaluation mode, with parameters that are new objects where it shrank.
    """
    import torch_pruning

    model.eval()
    example = torch.zeros(1, 3, _TRACED_SIDE, _TRACED_SIDE)
    with torch.enable_grad():  # dependencies are read off autograd's graph
        graph = torch_pruning.DependencyGraph().build_dependency(model, example_inputs=example)
    rank = _ranking(importance)
    groups = list(
        graph.get_all_groups(ignored_layers=[model.get_submodule("classifier")], root_module_types=[nn.Conv2d])
    )
    leaving = [(group[0].dep, sorted(_leaving(group, rank(group), ratio))) for group in groups]
    for dependency, channels in leaving:
        if channels:
            graph.get_pruning_group(dependency.target.module, dependency.handler, channels).prune()


def _ranking(importance: ChannelImportance) -> Callable[[Any], torch.Tensor]:
    from torch_pruning.pruner.importance import BNScaleImportance, GroupMagnitudeImportance

    match importance:
        case "l1" | "l2":
            ranking: Callable[[Any], torch.Tensor] = GroupMagnitudeImportance(p=int(importance[1]))
            return ranking
        case "bn_scale":
            scales, norms = BNScaleImportance(), GroupMagnitudeImportance(p=2)

            def by_scale(group: Any) -> torch.Tensor:  # noqa: ANN401 - torch-pruning has no types
                found: torch.Tensor | None = scales(group)  # None: no batch norm
                return norms(group) if found is None else found

            return by_scale
        case _:
            assert_never(importance)


def _leaving(group: Any, ranks: torch.Tensor, ratio: float) -> Iterator[int]:  # noqa: ANN401 - no types there
    """Yield the channels of the first layer of *group* that leave, chosen evenly from each of its ``_parts``."""
    for part in _parts(group, len(ranks)):
        order = ranks[part].argsort(stable=True)
        yield from (part[int(index)] for index in order[: len(part) - kept(len(part), ratio)])


def _parts(group: Any, channels: int) -> list[list[int]]:  # noqa: ANN401 - no types there
    """Return the *channels* of *group* sorted out by the layers that own them.

    A layer may be coupled to the concatenation of two others (NASNet's halved paths). Were channels ranked over both,
    the weights would decide how many each of the two loses.
    """
    owners: list[list[int]] = [[] for _ in range(channels)]
    for number, item in enumerate(group):
        for channel in {root for root in item.root_idxs if root is not None}:
            owners[channel].append(number)
    parts: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for channel, mine in enumerate(owners):
        parts[tuple(mine)].append(channel)
    return list(parts.values())

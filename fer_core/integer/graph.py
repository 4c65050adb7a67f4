"""A network as LiteRT's integer kernels will compute it: batch norms folded, and known which values are stored as int8.

LiteRT stores a value between two operators; what it fuses (a convolution, its batch norm and its ReLU) it never
stores. Quantization-aware training must round at the same places: rounding more would train against noise that is
not there, rounding less would leave noise unseen. The rule stands here, once; that it is LiteRT's rule is checked
whenever such a network is exported (``fer_core.converter_process``).
"""

import operator
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F  # noqa: N812 - the name that every torch user knows
from torch.nn.utils import parametrize

from fer_core.errors import ConversionError
from fer_core.integer.grids import Activation, Folded, PerChannel
from fer_core.integer.ranges import INPUT_RANGE
from fer_core.models.exportable import exportable

SIGMOID_RANGE = (0.0, 255 / 256)
"""The one range that LiteRT allows for the output of LOGISTIC."""
_RELU = (nn.ReLU, nn.ReLU6, F.relu, F.relu6)
_CONV = (nn.Conv2d, nn.Linear)
_SAME_GRID = (nn.ZeroPad2d, nn.MaxPool2d, nn.AvgPool2d, nn.Flatten, torch.cat, operator.getitem)
"""Operators whose inputs and output share one grid in LiteRT: they move values, or average neighbours."""
_NOTHING = (nn.Identity, nn.Dropout, F.dropout)


class _SwishBySigmoid(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (*_CONV, nn.BatchNorm2d)) or super().is_leaf_module(m, module_qualified_name)


@dataclass(frozen=True, slots=True)
class IntegerGraph:
    """*network* computes what the model does, in evaluation, and *root* owns its layers, in the model's order.

    *folded* has the batch norm of each layer that one was folded into; the layer's bias holds its shift. An
    ``Activation`` stands behind each value that is stored; they are the *activations*.
    """

    network: fx.GraphModule
    root: nn.Module
    folded: dict[nn.Module, nn.BatchNorm2d]
    activations: tuple[Activation, ...]


def integer_graph(model: nn.Module, input_size: int) -> IntegerGraph:
    """Return the graph of *model*, which is left untouched, for images (n, 3, input_size, input_size).

    The weights of its layers are plain still: ``fold`` multiplies them by the factors of their batch norms.

    Raises:
        ConversionError: the network cannot be traced.
    """
    root = _spelled_out(exportable(model, input_size))
    try:
        network = fx.GraphModule(root, _Tracer().trace(root))
    except Exception as error:
        raise ConversionError(f"torch.fx cannot trace the network for quantization-aware training: {error}") from error
    for node in list(network.graph.nodes):
        if _is(network, node, _NOTHING):
            node.replace_all_uses_with(node.args[0])
            network.graph.erase_node(node)
    folded = _fold_shifts(network)
    _merge_equals(network)
    activations = _insert_activations(network)
    network.graph.lint()
    network.recompile()
    network.delete_all_unused_submodules()  # batch norms above all: training would estimate their statistics anew
    return IntegerGraph(network.eval(), root, folded, activations)


def fold(graph: IntegerGraph) -> None:
    """Multiply the weights of *graph*'s layers by the factors of their batch norms, on top of what holds them."""
    for layer, norm in graph.folded.items():
        parametrize.register_parametrization(layer, "weight", Folded(_factor(norm)))


def round_weights(graph: IntegerGraph) -> None:
    """Put the weights of *graph*'s layers on int8 grids, behind what holds and folds them."""
    for layer in layers(graph.root):
        parametrize.register_parametrization(layer, "weight", PerChannel())


@torch.no_grad()
def write_back(graph: IntegerGraph, model: nn.Module) -> None:
    """Copy the weights of *graph*, that was made from *model* and trained, into *model*.

    Factors and statistics of its batch norms stay as they were: what was trained are weights and shifts.
    """
    norms = dict(zip(_all(graph.root, nn.BatchNorm2d), _all(model, nn.BatchNorm2d), strict=True))
    for ours, trained in zip(layers(model), layers(graph.root), strict=True):
        ours.get_parameter("weight").copy_(_unfolded(trained))
        bias = getattr(ours, "bias", None)
        if norm := graph.folded.get(trained):
            before = _shift(norm, bias) - norm.bias
            norms[norm].bias.copy_(trained.get_parameter("bias") - before)
        elif bias is not None:
            bias.copy_(trained.get_parameter("bias"))


def _unfolded(layer: nn.Module) -> Tensor:
    """Return the weight of *layer* before its batch norm was folded in and before it was rounded."""
    if not parametrize.is_parametrized(layer, "weight"):
        return layer.get_parameter("weight")
    chain = layer.get_submodule("parametrizations.weight")
    weight: Tensor = chain.original  # type: ignore[assignment]  # torch types attributes of modules as Tensor | Module
    for step in chain:  # type: ignore[attr-defined]  # a ModuleList
        if isinstance(step, (Folded, PerChannel)):
            break
        weight = step(weight)
    return weight


def _spelled_out(model: nn.Module) -> nn.Module:
    """Take apart, in place, what timm and torch compute in one module and LiteRT in several operators."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d) and type(child) is not nn.BatchNorm2d:  # timm: with an activation
                setattr(parent, name, nn.Sequential(_plain_norm(child), child.get_submodule("act")))
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.SiLU):
                setattr(parent, name, _SwishBySigmoid())
            if isinstance(child, nn.Sequential) and isinstance(child[-1], nn.SiLU):
                child[-1] = _SwishBySigmoid()
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False  # type: ignore[assignment]  # torch types attributes as Tensor | Module
    return model.eval()


def _plain_norm(norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    plain = nn.BatchNorm2d(norm.num_features, eps=norm.eps)
    plain.load_state_dict(norm.state_dict())
    return plain


def layers(model: nn.Module) -> list[nn.Module]:
    """Return the convolutions and dense layers of *model*, in its order."""
    return [module for module in model.modules() if isinstance(module, _CONV)]


def _all[Kind: nn.Module](model: nn.Module, kind: type[Kind]) -> list[Kind]:
    return [module for module in model.modules() if isinstance(module, kind)]


def _factor(norm: nn.BatchNorm2d) -> Tensor:
    assert norm.running_var is not None  # noqa: S101 - for the type checker: every norm here keeps statistics
    return (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()


def _shift(norm: nn.BatchNorm2d, bias: Tensor | None) -> Tensor:
    assert norm.running_mean is not None  # noqa: S101 - the same
    own = -norm.running_mean if bias is None else bias - norm.running_mean
    return (norm.bias + own * _factor(norm)).detach()


def _what(network: fx.GraphModule, node: fx.Node) -> object:
    """Return the module or the function that *node* calls, or the name of its method."""
    return network.get_submodule(str(node.target)) if node.op == "call_module" else node.target


def _is(network: fx.GraphModule, node: fx.Node, kinds: Iterable[object]) -> bool:
    what = _what(network, node)
    return any(isinstance(what, kind) if isinstance(kind, type) else what is kind for kind in kinds)


def _fold_shifts(network: fx.GraphModule) -> dict[nn.Module, nn.BatchNorm2d]:
    """Take the batch norms out of *network*: into the bias of the layer before, or else spelled out as x * a + b."""
    folded: dict[nn.Module, nn.BatchNorm2d] = {}
    for node in list(network.graph.nodes):
        norm = _what(network, node)
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        before = node.args[0]
        layer = _what(network, before)
        if isinstance(layer, nn.Conv2d) and len(before.users) == 1:
            folded[layer] = norm
            layer.bias = nn.Parameter(_shift(norm, layer.bias))
            node.replace_all_uses_with(before)
        else:
            node.replace_all_uses_with(_affine(network, node, norm))
        network.graph.erase_node(node)
    return folded


def _merge_equals(network: fx.GraphModule) -> None:
    """Compute once what *network* computes twice: NASNet's branches each begin with a ReLU of the same value."""
    known: dict[str, fx.Node] = {}
    for node in list(network.graph.nodes):
        what = _what(network, node)
        if node.op in {"placeholder", "get_attr", "output"} or isinstance(what, _CONV):
            continue
        key = f"{what} {node.args} {node.kwargs}"
        if node is not (same := known.setdefault(key, node)):
            node.replace_all_uses_with(same)
            network.graph.erase_node(node)


def _affine(network: fx.GraphModule, node: fx.Node, norm: nn.BatchNorm2d) -> fx.Node:
    value = node.args[0]
    for name, function, constant in (
        (f"{node.name}_factor", operator.mul, _factor(norm)),
        (f"{node.name}_shift", operator.add, _shift(norm, None)),
    ):
        network.register_buffer(name, constant.view(1, -1, 1, 1))
        with network.graph.inserting_before(node):
            value = network.graph.call_function(function, (value, network.graph.get_attr(name)))
    assert isinstance(value, fx.Node)  # noqa: S101 - for the type checker
    return value


def _insert_activations(network: fx.GraphModule) -> tuple[Activation, ...]:
    """Put an ``Activation`` behind each value of *network* that LiteRT stores; the same one where grids are shared."""
    values = [node for node in network.graph.nodes if node.op in {"placeholder", "call_module", "call_function"}]
    values += [node for node in network.graph.nodes if node.op == "call_method"]
    leader = _grids(network, values)
    order = [node for node in network.graph.nodes if node in leader and _is_rounded(network, node)]
    members: dict[fx.Node, list[fx.Node]] = {}
    for node in order:
        members.setdefault(leader[node], []).append(node)
    activations = []
    for number, nodes in enumerate(members.values()):
        activation = Activation(len(nodes), _fixed_range(network, nodes))
        network.add_submodule(f"stored_{number}", activation)
        activations.append(activation)
        for member, node in enumerate(nodes):
            with network.graph.inserting_after(node):
                rounded = network.graph.call_module(f"stored_{number}", (node, member))
            node.replace_all_uses_with(rounded)
            rounded.args = node, member
    return tuple(activations)


def _grids(network: fx.GraphModule, values: list[fx.Node]) -> dict[fx.Node, fx.Node]:
    """Return for each of *values* the one that stands for its grid."""
    leader = {node: node for node in values}

    def find(node: fx.Node) -> fx.Node:
        while leader[node] is not node:
            node = leader[node]
        return node

    for node in values:
        if _is(network, node, _SAME_GRID):
            for before in node.all_input_nodes:
                leader[find(node)] = find(before)
    return {node: find(node) for node in values}


def _is_rounded(network: fx.GraphModule, node: fx.Node) -> bool:
    """Whether LiteRT stores the value of *node* and its operator makes values that were not on the grid before."""
    if _is(network, node, (nn.AvgPool2d,)):
        return True
    return not _is(network, node, _SAME_GRID) and not _is_absorbed(network, node)


def _is_absorbed(network: fx.GraphModule, node: fx.Node) -> bool:
    """Whether LiteRT computes *node* together with its only user: a ReLU, or a constant added to a convolution."""
    if len(node.users) != 1 or not _is(network, node, (*_CONV, operator.add)):
        return False
    user = next(iter(node.users))
    adds_constant = _is(network, user, (operator.add,)) and len(user.all_input_nodes) == 1
    return _is(network, user, _RELU) or (adds_constant and _is(network, node, _CONV))


def _fixed_range(network: fx.GraphModule, nodes: list[fx.Node]) -> tuple[float, float] | None:
    if nodes[0].op == "placeholder":
        return INPUT_RANGE
    if _is(network, nodes[0], (nn.Sigmoid, torch.sigmoid)):
        return SIGMOID_RANGE
    return None

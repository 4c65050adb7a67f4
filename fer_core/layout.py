"""Instructions for onnx2tf that keep the layout of LiteRT, channels last, where it would change it."""

from typing import Any

import onnx

_NHWC = (0, 2, 3, 1)


def channels_last(graph: bytes) -> dict[str, Any]:
    """Return onnx2tf's parameter replacements for the serialised ONNX *graph*, ready to be written as JSON.

    onnx2tf takes a sum for broken whose shape is not the one in ONNX, and "rescues" it by transposing both terms to
    channels first. The sum is turned back here; LiteRT's converter then removes both turns. Otherwise they stay where a
    concatenation follows: 107 TRANSPOSE operators in NASNet.
    """
    model = onnx.load_from_string(graph)
    constants = {initializer.name for initializer in model.graph.initializer}
    shapes = {value.name: _shape(value) for value in model.graph.value_info}
    return {
        "format_version": 1,
        "operations": [
            {
                "op_name": node.name,
                "param_target": "outputs",
                "param_name": node.output[0],
                "post_process_transpose_perm": list(_NHWC),
            }
            for node in model.graph.node
            if node.op_type == "Add" and not constants & set(node.input) and _changes(shapes.get(node.output[0], ()))
        ],
    }


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)


def _changes(shape: tuple[int, ...]) -> bool:
    """Whether *shape*, channels first, is another one with the channels last."""
    return len(shape) == len(_NHWC) and shape != tuple(shape[axis] for axis in _NHWC)

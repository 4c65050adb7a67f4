"""Sums of activations are kept channels last, and nothing else is touched."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper, shape_inference

from fer_core.layout import channels_last


def graph(side):
    def image(name):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 8, side, side))

    nodes = [
        helper.make_node("Relu", ["images"], ["relu"], "relu"),
        helper.make_node("Add", ["images", "relu"], ["sum"], "sum"),
        helper.make_node("Add", ["sum", "bias"], ["shifted"], "shifted"),
        helper.make_node("Relu", ["shifted"], ["logits"], "last"),
    ]
    bias = numpy_helper.from_array(np.ones((1, 8, 1, 1), dtype=np.float32), "bias")
    model = helper.make_model(helper.make_graph(nodes, "g", [image("images")], [image("logits")], [bias]))
    return shape_inference.infer_shapes(model).SerializeToString()


def test_a_sum_of_activations_is_turned_back():
    (operation,) = channels_last(graph(16))["operations"]
    assert operation["op_name"] == "sum"
    assert operation["param_name"] == "sum"
    assert operation["post_process_transpose_perm"] == [0, 2, 3, 1]


def test_a_cube_needs_no_turn_as_it_is_taken_for_right():
    assert channels_last(graph(8))["operations"] == []

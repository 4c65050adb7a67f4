"""Graphs come apart into what new weights may reuse and the weights, and numbered weights keep their numbers."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fer_core.reuse.numbering import CAPACITY, number_of, numbers, put_together, take_apart

SHAPES = ((16, 3, 3, 3), (16,), (7, 16))


def graph(seed, epsilon=3.0):
    random = np.random.default_rng(seed)
    values = [random.normal(size=shape).astype(np.float32) for shape in SHAPES]
    constants = [numpy_helper.from_array(value, f"weight{index}") for index, value in enumerate(values)]
    constants.append(numpy_helper.from_array(np.array(epsilon, dtype=np.float32), "epsilon"))
    constants.append(numpy_helper.from_array(np.array([1, 16], dtype=np.int64), "shape"))
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, 8, 8))
    nodes = [helper.make_node("Add", ["images", "epsilon"], ["logits"])]
    out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, (1, 3, 8, 8))
    return helper.make_model(helper.make_graph(nodes, "g", [image], [out], constants)).SerializeToString()


def test_what_was_taken_apart_goes_together_again():
    whole = graph(0)
    parts = take_apart(whole)
    assert parts.shapes == SHAPES
    again = onnx.load_from_string(put_together(parts, parts.weights))
    expected = onnx.load_from_string(whole)
    for ours, theirs in zip(again.graph.initializer, expected.graph.initializer, strict=True):
        assert np.array_equal(numpy_helper.to_array(ours), numpy_helper.to_array(theirs))
    assert again.graph.node == expected.graph.node


def test_graphs_are_told_apart_by_all_but_their_weights():
    assert take_apart(graph(0)).digest == take_apart(graph(1)).digest
    assert take_apart(graph(0)).digest != take_apart(graph(0, epsilon=4.0)).digest


def test_every_weight_carries_its_number_at_the_scale_of_its_layer():
    values = numbers(SHAPES)
    assert np.array_equal(number_of(values), np.arange(len(values)))
    assert np.array_equal(number_of(-values * np.float32(0.25)), np.arange(len(values)))
    kernel = values[: 16 * 27]
    assert 0.5 < np.sqrt(np.square(kernel).mean()) / np.sqrt(2 / 27) < 2
    assert 0.3 < (kernel > 0).mean() < 0.7


def test_more_weights_than_there_are_numbers_are_refused():
    with pytest.raises(ValueError, match="can be numbered"):
        numbers([(CAPACITY + 1,)])

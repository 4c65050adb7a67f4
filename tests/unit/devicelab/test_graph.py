"""What a .tflite asks of a processor, and that its fingerprint sees the graph and nothing but the graph."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicelab.errors import WorkloadError
from devicelab.flatfile import parse
from devicelab.graph import graph_of, read_graph
from devicelab.operators import TensorType
from devicelab.roofline import latency_ms


def read(content):
    return graph_of(parse(content))


def test_counts_the_work_of_each_layer(network_file):
    file = network_file()
    x = file.conv(file.image(32), 8, kernel=3, stride=2)
    x = file.depthwise(x, kernel=5)
    x = file.conv(x, 16)
    graph = read(file.content(file.dense(file.pool(x), 7)))

    assert [operator.kind for operator in graph.operators] == ["convolution", "depthwise", "pointwise", "pool", "dense"]
    first, depthwise, pointwise, pool, dense = graph.operators
    assert first.macs == 16 * 16 * 8 * 3 * 3 * 3
    assert (first.kernel, first.stride) == ((3, 3), (2, 2))
    assert (first.input_bytes, first.output_bytes) == (4 * 32 * 32 * 3, 4 * 16 * 16 * 8)
    assert first.weight_bytes == 4 * (8 * 3 * 3 * 3 + 8)
    assert depthwise.macs == 16 * 16 * 8 * 25
    assert pointwise.macs == 16 * 16 * 8 * 16
    assert (pool.macs, pool.input_bytes, pool.output_bytes) == (0, 4 * 16 * 16 * 16, 4 * 16)
    assert dense.macs == 16 * 7
    assert graph.macs == sum(operator.macs for operator in graph.operators)
    assert graph.inputs == (TensorType("FLOAT32", (1, 32, 32, 3)),)
    assert graph.outputs == (TensorType("FLOAT32", (1, 7)),)


def test_a_pointwise_convolution_of_one_position_is_a_dense_layer(network_file):
    file = network_file()
    graph = read(file.content(file.conv(file.image(1, channels=16), 8)))
    assert graph.operators[0].kind == "dense"


def test_full_int8_moves_a_quarter_and_computes_in_integers(small):
    floats, integers = read(small()), read(small(dtype="INT8"))
    assert {operator.arithmetic for operator in integers.operators} == {"integer"}
    assert [operator.macs for operator in floats.operators] == [operator.macs for operator in integers.operators]
    assert floats.operators[2].input_bytes == 4 * integers.operators[2].input_bytes


def test_float16_weights_cost_what_float32_weights_cost(small):
    plain, packed = read(small()), read(small(weights="FLOAT16", unpack=True))
    assert packed.operators == plain.operators
    assert packed.fingerprint != plain.fingerprint


def test_dynamic_range_convolutions_compute_in_integers_and_depthwise_ones_do_not(network_file):
    file = network_file()
    x = file.conv(file.image(8, channels=4), 4, weights="INT8")
    x = file.depthwise(x, weights="INT8")
    convolution, depthwise = read(file.content(x)).operators
    assert (convolution.arithmetic, depthwise.arithmetic) == ("integer", "float")
    assert convolution.weight_bytes == 4 * 4 + 4 * 4
    assert convolution.input_bytes == 8 * 8 * 4 * (4 + 2)
    assert depthwise.weight_bytes == 4 * 9 * 4 + 4 * 4


def test_views_are_free(network_file):
    file = network_file()
    x = file.image(4)
    file.operator("RESHAPE", [x, file.parameters([1, 48])], (1, 48), options="ReshapeOptions")
    graph = read(file.content(file.add(x, x)))
    assert [operator.code for operator in graph.operators] == ["ADD"]


@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_fingerprint_does_not_see_weights_and_names(small, one, other):
    assert read(small(seed=one)).fingerprint == read(small(seed=other)).fingerprint


@given(
    st.tuples(
        *[st.tuples(st.sampled_from([16, 32]), st.sampled_from([4, 8]), st.sampled_from(["FLOAT32", "INT8"]))] * 2
    )
)
def test_fingerprint_sees_shapes_and_types(small, two):
    one, other = (read(small(side=side, filters=filters, dtype=dtype)).fingerprint for side, filters, dtype in two)
    assert (one == other) == (two[0] == two[1])


def fingerprint(file, *outputs):
    return read(file.content(*outputs)).fingerprint


def test_fingerprint_sees_operators_and_each_of_their_options(network_file):
    def pooled(code="AVERAGE_POOL_2D", **options):
        file = network_file()
        x = file.operator(code, [file.image(8)], (1, 8, 8, 3), options="Pool2DOptions", **options)
        return fingerprint(file, x)

    names = ["Padding", "StrideW", "StrideH", "FilterWidth", "FilterHeight", "FusedActivationFunction"]
    prints = {pooled(), pooled("MAX_POOL_2D"), *(pooled(**{name: 1}) for name in names)}
    assert len(prints) == 2 + len(names)


def test_fingerprint_sees_who_reads_what(network_file):
    def crossed(*order):
        file = network_file()
        x = file.image(4)
        y = file.operator("RELU", [x], (1, 4, 4, 3))
        return fingerprint(file, file.operator("SUB", [(x, y)[place] for place in order], (1, 4, 4, 3)))

    assert len({crossed(0, 1), crossed(1, 0), crossed(0, 0), crossed(1, 1)}) == 4


def test_fingerprint_sees_parameters_that_are_stored_as_constants(network_file):
    def pooled(*axes):
        file = network_file()
        return fingerprint(file, file.operator("MEAN", [file.image(3), file.parameters(axes)], (1, 3, 3)))

    assert pooled(1) != pooled(2)


def test_fingerprint_does_not_see_the_order_of_independent_operators(network_file):
    def branches(*order):
        file = network_file()
        x = file.image(4)
        results = {code: file.operator(code, [x], (1, 4, 4, 3)) for code in order}
        return fingerprint(file, file.add(results["RELU"], results["TANH"]))

    assert branches("RELU", "TANH") == branches("TANH", "RELU")


def test_fingerprint_does_not_see_whether_equal_constants_are_shared(network_file):
    def twice(*, shared):
        file = network_file()
        x, bias = file.image(4), file.weights((3,))
        x = file.operator("ADD", [x, bias], (1, 4, 4, 3))
        return fingerprint(file, file.operator("ADD", [x, bias if shared else file.weights((3,))], (1, 4, 4, 3)))

    assert twice(shared=True) == twice(shared=False)


def test_fingerprint_does_not_see_whether_a_zero_bias_was_dropped(network_file):
    def dense(*bias):
        file = network_file()
        inputs = [file.image(1, channels=4), file.weights((3, 4)), *(one(file) for one in bias)]
        return fingerprint(file, file.operator("FULLY_CONNECTED", inputs, (1, 3)))

    assert dense() == dense(lambda file: -1) == dense(lambda file: file.weights((3,)))
    assert dense() != dense(lambda file: file.operator("RELU", [file.image(3)], (3,)))


def test_fingerprint_takes_an_open_batch_for_one(network_file):
    def batched(batch):
        file = network_file()
        return fingerprint(file, file.operator("RELU", [file.image(4, batch=batch)], (batch, 4, 4, 3)))

    assert batched(-1) == batched(1) != batched(2)


def test_everything_matters(small):
    def milliseconds(threads=1, **options):
        return latency_ms(read(small(**options)).operators, threads=threads)

    base = milliseconds(side=128, filters=64)
    assert milliseconds(side=96, filters=64) < base
    assert milliseconds(side=128, filters=32) < base
    assert milliseconds(side=128, filters=64, dtype="INT8") < base
    assert milliseconds(side=128, filters=64, threads=4) < base


def test_a_file_says_its_name_and_what_to_do(tmp_path):
    with pytest.raises(WorkloadError, match=r"missing\.tflite: cannot be read: No such file"):
        read_graph(tmp_path / "missing.tflite")
    text = tmp_path / "text.tflite"
    text.write_text("hello, world")
    with pytest.raises(WorkloadError, match=r"text\.tflite: not a \.tflite: 12 bytes.*; export the network again"):
        read_graph(Path(text))

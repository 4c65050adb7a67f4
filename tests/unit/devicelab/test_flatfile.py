"""Damaged files: always a WorkloadError in one line or a graph, never another exception, never a long wait."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicelab.errors import WorkloadError
from devicelab.flatfile import parse
from devicelab.graph import graph_of


def outcome(content):
    """The fingerprint of *content*, or None if it was refused as it should be."""
    started, result, refusal = time.perf_counter(), None, ""
    try:
        result = graph_of(parse(content)).fingerprint
    except WorkloadError as error:
        refusal = str(error)
    assert "\n" not in refusal
    assert time.perf_counter() - started < 2.0
    return result


@pytest.mark.parametrize(
    "content", [b"", b"TFL3", b"\0" * 7, b"\0" * 64, b"\x1c\0\0\0TFL3", b"\xff" * 4 + b"TFL3" * 50]
)
def test_what_is_no_tflite_is_refused(content):
    with pytest.raises(WorkloadError):
        parse(content)


def test_every_truncation_is_refused(small):
    content = small()
    assert outcome(content)
    assert [length for length in range(len(content)) if outcome(content[:length]) is not None] == []


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_flipped_bytes_are_refused_or_read(small, data):
    content = bytearray(small())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.sampled_from([0, 1, 127, 128, 255]))
    outcome(bytes(content))


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(noise):
    assert outcome(noise) is None
    assert outcome(b"\x18\0\0\0TFL3" + noise) is None


def test_custom_operators_are_refused_by_name(network_file):
    file = network_file()
    with pytest.raises(WorkloadError, match="custom operator"):
        parse(file.content(file.operator("CUSTOM", [file.image(4)], (1, 4, 4, 3))))


def test_control_flow_is_refused(network_file):
    file = network_file()
    file.subgraphs = 2
    with pytest.raises(WorkloadError, match="2 subgraphs"):
        parse(file.content(file.operator("RELU", [file.image(4)], (1, 4, 4, 3))))


def test_a_tensor_nobody_wrote_is_refused(network_file):
    file = network_file()
    x = file.image(4)
    with pytest.raises(WorkloadError, match="nothing wrote"):
        graph_of(parse(file.content(file.add(x, file.tensor((1, 4, 4, 3))))))


def test_weights_of_an_impossible_shape_are_refused(network_file):
    file = network_file()
    x = file.operator("CONV_2D", [file.image(4), file.weights((8, 3))], (1, 4, 4, 8))
    with pytest.raises(WorkloadError, match=r"CONV_2D with weights of shape \[8, 3\]"):
        graph_of(parse(file.content(x)))
    file = network_file()
    with pytest.raises(WorkloadError, match="CONV_2D without input, weights or output"):
        graph_of(parse(file.content(file.operator("CONV_2D", [file.image(4)], (1, 4, 4, 8)))))


def test_a_constant_shorter_than_its_shape_is_refused(network_file):
    file = network_file()
    short = file.tensor((4, 4), data=b"\0" * 60)
    with pytest.raises(WorkloadError, match="holds 60 bytes"):
        parse(file.content(file.add(file.image(4), short)))

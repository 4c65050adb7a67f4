"""A form is filled in where the numbered weights were found, and is none where one was not."""

from dataclasses import replace

import numpy as np
import pytest

from fer_core.reuse.constants import Constant
from fer_core.reuse.numbering import numbers
from fer_core.reuse.template import Template

SHAPES = ((4, 3), (4,))
HEAD = b"head"
FLOAT = np.dtype(np.float32)
KERNEL = Constant(role="0:1", shape=(3, 4), dtype=FLOAT, start=4)
BIAS = Constant(role="0:2", shape=(4,), dtype=FLOAT, start=4 + 48)
SIXTH = Constant(role="1:1", shape=(2,), dtype=FLOAT, start=4 + 48 + 16)


def file_of(weights, constant=1 / 6):
    """A file that holds the kernel transposed, the bias and two equal constants of the graph."""
    kernel, bias = weights[:12].reshape(4, 3), weights[12:]
    return HEAD + kernel.T.tobytes() + bias.tobytes() + np.full(2, constant, dtype=np.float32).tobytes()


@pytest.fixture(name="weights")
def _weights():
    return np.random.default_rng(0).normal(size=16).astype(np.float32)


def test_new_weights_take_the_places_of_the_numbers(weights):
    numbered = numbers(SHAPES)
    template = Template.of(file_of(numbered), (KERNEL, BIAS, SIXTH), numbered)
    assert template.filled(weights) == file_of(weights)
    assert template.filled(numbered) == template.content


def test_no_form_where_a_weight_was_computed_with_or_is_missing():
    numbered = numbers(SHAPES)
    shifted = numbered.copy()
    shifted[12:] += np.float32(3)
    assert Template.of(file_of(shifted), (KERNEL, BIAS, SIXTH), numbered) is None
    assert Template.of(file_of(-numbered), (KERNEL, BIAS, SIXTH), numbered) is None
    assert Template.of(file_of(numbered), (KERNEL, SIXTH), numbered) is None


def test_a_constant_of_the_graph_stays_even_where_it_looks_like_a_weight(weights):
    numbered = numbers(SHAPES)
    template = Template.of(file_of(numbered, numbered[3]), (KERNEL, BIAS, SIXTH), numbered)
    assert template.filled(weights) == file_of(weights, numbered[3])


def quantized(weights):
    """As LiteRT quantizes weights: int8, one scale per output channel, the last axis here."""
    kernel = weights[:12].reshape(4, 3).T
    scales = np.abs(kernel).max(axis=0) / np.float32(127)
    return HEAD + scales.tobytes() + weights[12:].tobytes() + np.round(kernel * (1 / scales)).astype(np.int8).tobytes()


def test_quantized_weights_are_found_by_their_role(weights):
    numbered = numbers(SHAPES)
    known = Template.of(file_of(numbered), (KERNEL, BIAS, SIXTH), numbered)
    kernel = Constant("0:1", (3, 4), np.dtype(np.int8), start=4 + 32, scales_start=4, scales=4, axis=1)
    bias = replace(BIAS, start=4 + 16)
    template = Template.of(quantized(numbered), (kernel, bias), numbered, known)
    assert template.filled(weights) == quantized(weights)
    assert Template.of(quantized(numbered), (replace(kernel, role="5:1"), bias), numbered, known) is None
    other_rule = quantized(numbered)[:-1] + b"\x00"
    assert Template.of(other_rule, (kernel, bias), numbered, known) is None


def test_a_channel_of_zeros_has_a_scale_that_can_be_divided_by(weights):
    numbered = numbers(SHAPES)
    known = Template.of(file_of(numbered), (KERNEL, BIAS, SIXTH), numbered)
    kernel = Constant("0:1", (3, 4), np.dtype(np.int8), start=4 + 32, scales_start=4, scales=4, axis=1)
    template = Template.of(quantized(numbered), (kernel, replace(BIAS, start=4 + 16)), numbered, known)
    weights[:3] = 0
    filled = template.filled(weights)
    assert np.frombuffer(filled, np.float32, 4, 4)[0] == 1
    assert not np.frombuffer(filled, np.int8, 12, 4 + 32).reshape(3, 4)[:, 0].any()


def test_half_precision_rounds_each_weight(weights):
    numbered = numbers(SHAPES)
    known = Template.of(file_of(numbered), (KERNEL, BIAS, SIXTH), numbered)
    half = np.dtype(np.float16)
    places = (replace(KERNEL, dtype=half), replace(BIAS, dtype=half, start=4 + 24))

    def halves(values):
        kernel = values[:12].reshape(4, 3).T
        return HEAD + kernel.astype(half).tobytes() + values[12:].astype(half).tobytes()

    assert Template.of(halves(numbered), places, numbered, known).filled(weights) == halves(weights)

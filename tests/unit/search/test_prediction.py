"""Latency from operators: the law is learnt back, intervals hold, and little data promises little."""

import math

import numpy as np
import pytest
from pydantic import ValidationError
from workloads import measured, workloads

from devicelab.operators import Operator
from search.prediction import COLUMNS, FEWEST, Example, Predictor, features_of


def test_features_are_sums_by_kind_and_arithmetic() -> None:
    operators = [
        Operator("CONV_2D", "pointwise", 3_000_000, 100, 200, 700, "integer"),
        Operator("CONV_2D", "pointwise", 1_000_000, 0, 0, 0, "float"),
        Operator("DEPTHWISE_CONV_2D", "depthwise", 500_000, 0, 0, 0, "float"),
        Operator("ADD", "elementwise", 0, 1_000_000, 0, 0),
    ]
    found = dict(zip(COLUMNS, features_of(operators, 4), strict=True))
    assert (found["pointwise_integer"], found["pointwise_float"], found["depthwise_float"]) == (3.0, 1.0, 0.5)
    assert (found["bytes"], found["calls"], found["threads"]) == (pytest.approx(1.001), 4.0, 4.0)
    assert found["dense_float"] == 0.0


def test_what_was_not_measured_is_predicted_and_the_interval_holds_it() -> None:
    features = workloads(150)
    examples = measured(features)
    found = Predictor.of(examples[:50]).predict(features[50:].tolist(), level=0.9)
    truth = np.array([one.median_ms for one in examples[50:]])
    medians = np.array([one.median_ms for one in found])
    inside = np.mean([one.low_ms <= value <= one.high_ms for one, value in zip(found, truth, strict=True)])
    assert np.mean(np.abs(medians / truth - 1)) < 0.03
    assert 0.8 <= inside <= 0.98
    assert {(one.level, one.learnt) for one in found} == {(0.9, 50)}
    assert all(one.low_ms < one.median_ms < one.high_ms for one in found)


def test_leaving_one_out_is_learning_without_it() -> None:
    features = workloads(40)
    examples = measured(features)
    whole = Predictor.of(examples)
    off, sizes = whole.left_out
    kept = np.arange(1, 40)
    inverse = np.linalg.inv(np.linalg.inv(whole.inverse)[np.ix_(kept, kept)])
    covariance = np.linalg.inv(whole.inverse)
    explained = covariance[0, kept] @ inverse
    target = covariance @ whole.weights
    assert off[0] == pytest.approx(target[0] - explained @ target[kept])
    assert sizes[0] ** 2 == pytest.approx(covariance[0, 0] - explained @ covariance[kept, 0])


def test_what_is_far_from_everything_measured_is_less_sure() -> None:
    features = workloads(60)
    predictor = Predictor.of(measured(features))
    far = features[0] * np.array([30.0] * 10 + [1.0])
    near, away = predictor.predict([features[0].tolist(), far.tolist()])
    assert away.high_ms / away.low_ms > near.high_ms / near.low_ms


def test_a_level_that_the_measurements_cannot_hold_is_infinitely_wide() -> None:
    features = workloads(FEWEST)
    (found,) = Predictor.of(measured(features)).predict(features[:1].tolist(), level=0.99)
    assert (found.low_ms, found.high_ms) == (0.0, math.inf)


def test_too_few_are_refused_and_so_is_what_no_phone_measures() -> None:
    features = workloads(FEWEST)
    with pytest.raises(ValueError, match=f"{FEWEST - 1} measurements are too few"):
        Predictor.of(measured(features)[1:])
    for wrong in ({"median_ms": 0.0}, {"median_ms": math.nan}, {"features": (1.0,)}):
        with pytest.raises(ValidationError):
            Example(**{"features": (1.0,) * 11, "median_ms": 1.0, **wrong})

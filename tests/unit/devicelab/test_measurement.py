"""Bursts: what they say of single runs, and what they do not let pass."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from devicelab.measurement import Burst

TIMES = st.lists(st.floats(0.1, 1e4), min_size=1, max_size=50)


@given(TIMES, st.booleans())
def test_a_burst_of_single_runs_has_their_statistics(times, cold):
    burst = Burst.of(times, cold=cold)
    assert burst.mean_ms == pytest.approx(np.mean(times))
    assert burst.sd_ms == pytest.approx(np.std(times), abs=1e-6)
    assert burst.typical_ms == burst.median_ms == pytest.approx(np.median(times))
    assert np.mean(np.array(times) <= burst.p95_ms) >= 0.95
    assert burst.first_ms == (times[0] if cold else None)


@pytest.mark.parametrize("times", [[], [0.0], [1.0, -1.0], [float("nan")], [1.0, float("inf")]])
def test_no_burst_of_what_cannot_be(times):
    with pytest.raises(ValueError, match="finite time above 0"):
        Burst.of(times)


@pytest.mark.parametrize(
    "change", [{"mean_ms": 9.0}, {"min_ms": 5.5}, {"runs": 0}, {"sd_ms": -1.0}, {"times_ms": (5.0,)}]
)
def test_a_summary_that_contradicts_itself_is_refused(change):
    good = {"runs": 5, "mean_ms": 5.0, "sd_ms": 0.1, "min_ms": 4.0, "max_ms": 6.0}
    assert Burst.model_validate(good).typical_ms == 5.0
    with pytest.raises(ValidationError):
        Burst.model_validate(good | change)

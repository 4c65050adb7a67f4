"""Timing where only summaries are seen: how long bursts last, which of them count, how sure the mean is."""

import math
from statistics import fmean

import numpy as np
import pytest

from devicelab.actions import Outcome
from devicelab.bursts import burst_error, interval_of, time_bursts
from devicelab.device import Device
from devicelab.drivers.simulator import PLATFORM
from devicelab.errors import RefusedError
from devicelab.estimation import NORMAL_95, SESSION_SD
from devicelab.gate import RULES
from devicelab.measurement import Burst

DEVICE = Device(name="p", platform=PLATFORM)
CALM = (1.0, 0.001)


def summary(typical_ms, runs=RULES.burst_runs, *, sd=0.01, median=True):
    """A burst as the tool tells it; old builds print no *median*."""
    low, high = typical_ms * (1 - 1.54 * sd), typical_ms * (1 + 1.54 * sd)
    return Burst(runs=runs, mean_ms=typical_ms, sd_ms=sd * typical_ms, min_ms=low, max_ms=high,
                 median_ms=typical_ms if median else None)  # fmt: skip


def timed(times_ms, threshold_ms=None, factor=CALM):
    """What comes of bursts that take *times_ms*, one after the other; and the runs that were asked for."""
    steps, asked = time_bursts(DEVICE, factor, threshold_ms, RULES), []
    action = next(steps)
    try:
        for typical in times_ms:
            asked.append(action.runs)
            action = steps.send(Outcome(0.0, summary(typical, action.runs)))
    except StopIteration as finished:
        return finished.value, asked
    raise AssertionError(f"wants more than {len(asked)} bursts")


@pytest.mark.parametrize(
    ("typical", "runs"), [(90.0, 23), (5.0, 400), (0.5, RULES.max_burst_runs), (200.0, 10), (3000.0, 10)]
)
def test_the_first_burst_tells_how_many_runs_the_others_need(typical, runs):
    found, asked = timed([typical] * 3)
    assert asked == [RULES.burst_runs, runs, runs][: len(found.alike)]
    assert found.apart == []


@pytest.mark.parametrize(
    ("times", "apart"),
    [
        ([100, 101, 99], []),
        ([110, 100, 101, 99], [110]),
        ([100, 130, 101, 99], [130]),
        ([130, 131, 100, 101, 99], [130, 131]),
        ([106.8, 100, 100, 100], [106.8]),
    ],
)
def test_what_was_warming_up_or_disturbed_is_run_again(times, apart):
    found, asked = timed(times)
    assert [burst.typical_ms for burst in found.apart] == apart
    assert len(found.alike) == RULES.bursts
    assert len(asked) == len(times)


def test_bursts_that_never_agree_are_refused():
    with pytest.raises(RefusedError, match="of 9 bursts are apart from the rest") as refused:
        timed([100 * 1.1**n for n in range(RULES.max_bursts)])
    assert (refused.value.reason, refused.value.fault.id) == ("disturbed", "F27")


@pytest.mark.parametrize(("threshold", "bursts"), [(50, 2), (150, 2), (104, 3), (100, 3), (None, 3)])
def test_a_question_needs_two_bursts_that_clear_it(threshold, bursts):
    assert len(timed([100, 100.5, 99.5][:bursts], threshold)[0].alike) == bursts


def test_one_slow_burst_decides_nothing():
    found, _ = timed([130, 100, 100.5], 115)
    assert [burst.typical_ms for burst in found.alike] == [100, 100.5]


def test_of_a_very_slow_network_two_bursts_will_do():
    found, asked = timed([4000.0, 4040.0])
    assert (len(found.alike), asked) == (2, [10, 10])


def test_the_interval_knows_process_starts_runs_and_what_is_seen():
    calm = [summary(typical, sd=0.0) for typical in (100, 100, 100)]
    assert interval_of(calm).precision == pytest.approx(NORMAL_95 * SESSION_SD / math.sqrt(3))
    restless = [summary(100, sd=0.05)] * 3
    known = math.hypot(SESSION_SD, burst_error(restless[0]))
    assert interval_of(restless).precision == pytest.approx(NORMAL_95 * known / math.sqrt(3))
    apart = interval_of([summary(typical, sd=0.0) for typical in (97, 100, 103)])
    assert apart.value == pytest.approx(100)
    assert apart.precision == pytest.approx(NORMAL_95 * 0.03 / math.sqrt(3))
    assert interval_of(calm[:1]).precision == pytest.approx(NORMAL_95 * SESSION_SD)


@pytest.mark.parametrize("median", [True, False])
@pytest.mark.parametrize("count", [2, 3])
def test_the_interval_holds_the_truth_as_often_as_it_says(median, count):
    rng = np.random.default_rng(0)
    held = []
    for _ in range(400):
        starts = rng.normal(0, SESSION_SD, count)
        runs = [Burst.of(100 * np.exp(start + rng.normal(0, 0.03, 22))) for start in starts]
        seen = [one.model_copy(update={"times_ms": (), **({} if median else {"median_ms": None})}) for one in runs]
        interval = interval_of(seen)
        held.append(interval.low <= 100 <= interval.high)
    assert fmean(held) >= 0.95 - 2 * math.sqrt(0.05 * 0.95 / 400)


def test_a_burst_is_judged_by_its_minimum_not_by_its_spikes():
    calm = Burst.of(np.linspace(98.0, 102.0, 21))
    spiked = Burst.of([*np.linspace(98.0, 102.0, 21)[:-1], 500.0])
    assert burst_error(spiked) == pytest.approx(burst_error(calm), rel=0.1)
    assert burst_error(summary(100.0, 1)) == 0

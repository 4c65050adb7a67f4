"""What a worker's step takes, by clocks that are given."""

from itertools import count

from search.budget import Spent
from search.tuning.worker import Meter


def test_a_step_takes_cpu_time_and_its_share_of_a_gpu_in_its_turns_but_none_before_its_latency_is_known() -> None:
    def meter(gpus: float) -> Meter:
        return Meter(gpus, count(100.0, 8.0).__next__, cpu=count(10.0, 3.0).__next__)

    assert meter(0.5).spent() == Spent(cpu_seconds=3.0, gpu_seconds=4.0)
    assert meter(0.5).spent(known=False) == Spent(cpu_seconds=3.0)
    assert meter(0.0).spent() == Spent(cpu_seconds=3.0)

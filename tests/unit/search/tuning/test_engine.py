"""What trials may use of the machines that Ray has."""

import pytest

from search.tuning.engine import Share, share


def _of(monkeypatch: pytest.MonkeyPatch, *machines: dict[str, float], count: int) -> Share:
    nodes = [{"Alive": True, "Resources": machine} for machine in machines]
    nodes.append({"Alive": False, "Resources": {"CPU": 512.0}})
    monkeypatch.setattr("search.tuning.engine.ray.nodes", lambda: nodes)
    return share(count)


@pytest.mark.parametrize(
    ("machine", "count", "expected"),
    [
        ({"CPU": 8.0}, 2, Share(4.0, 0.0, 2)),
        ({"CPU": 8.0}, 3, Share(2.0, 0.0, 3)),
        ({"CPU": 2.0}, 3, Share(0.6666, 0.0, 3)),
        ({"CPU": 8.0, "GPU": 1.0}, 4, Share(2.0, 0.25, 4)),
        ({"CPU": 8.0, "GPU": 1.0}, 3, Share(2.0, 0.3333, 3)),
        ({"CPU": 8.0, "GPU": 4.0}, 2, Share(4.0, 1.0, 2)),
        ({"CPU": 8.0, "GPU": 2.0}, 3, Share(2.0, 0.5, 3)),  # two thirds of a GPU would leave no room for the third
    ],
)
def test_a_machine_is_shared_evenly_and_all_shares_fit(
    monkeypatch: pytest.MonkeyPatch, machine: dict[str, float], count: int, expected: Share
) -> None:
    got = _of(monkeypatch, machine, count=count)
    assert got == expected
    assert got.cpus * count <= machine["CPU"]
    if got.gpus:
        assert int(1 / got.gpus) * machine["GPU"] >= count


def test_machines_share_the_trials_and_the_largest_says_how_much_each_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _of(monkeypatch, {"CPU": 4.0}, {"CPU": 16.0}, count=5) == Share(5.0, 0.0, 3)


def test_a_share_counts_whole_threads() -> None:
    assert [Share(cpus, 0).threads for cpus in (0.5, 1.0, 3.0)] == [1, 1, 3]

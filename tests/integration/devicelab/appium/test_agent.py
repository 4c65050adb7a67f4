"""The agent between the real service and the real Appium: whatever is killed, a measurement is committed once.

Hundreds of measurements under random kills and faults of phones are benchmarks/appium_chaos.py.
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from agents import KILLS, Shelf
from contracts.networks import small_network

from devicelab.measurement import Workload
from devicelab.oracle import judged
from devicelab.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shelf(tools, tmp_path_factory):
    shelf = Shelf(tmp_path_factory.mktemp("shelf"), speed=10)
    yield shelf
    if shelf.service.poll() is None:
        shelf.close()


@pytest.fixture
def workload(tmp_path, request):
    path = tmp_path / "m.tflite"
    path.write_bytes(small_network(side=64 + 2 * (sum(request.node.name.encode()) % 97)))
    return Workload.of(path, 4)


def measured(shelf, workload, meanwhile):
    """Return the latency of *workload*; *meanwhile* is done as soon as a phone is at it."""
    with shelf.client("search") as lab:
        shelf.await_phones(lab)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(lab.measure, workload)
            while not asked.done() and not any(one["state"] == "MEASURING" for one in lab.get("/api/v1/devices")):
                time.sleep(0.05)
            meanwhile()
        return asked.result()


@pytest.mark.parametrize("whom", KILLS)
def test_a_kill_costs_an_attempt_and_nothing_else(shelf, workload, whom):
    answer = measured(shelf, workload, lambda: shelf.kill(whom))
    assert (answer.fingerprint, answer.source) == (workload.fingerprint, "simulated")


def test_an_unplugged_phone_leaves_and_comes_back(shelf, workload):
    answer = measured(shelf, workload, lambda: shelf.phones.order("unplug"))
    assert answer.fingerprint == workload.fingerprint
    shelf.phones.order("replug")


def test_nothing_was_done_twice_and_nothing_is_left(shelf):
    assert shelf.close() == []
    with Store(shelf.folder / "lab.sqlite", readonly=True) as store:
        assert judged(store.events()).clean
        assert store.verify().problems == ()
        commits = [json.loads(row.body)["key"] for row in store.events(kind="measurement_committed")]
    assert len(commits) == len(set(commits)) == len(KILLS) + 1

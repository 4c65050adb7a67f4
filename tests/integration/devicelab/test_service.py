"""The real service as a process: killed in the middle of its work, nothing is lost and nothing is done twice."""

import json
import threading

import pytest
from contracts.networks import small_network

from devicelab.client import LabClient
from devicelab.errors import AccessError
from devicelab.measurement import Workload
from devicelab.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture
def workloads(tmp_path):
    made = []
    for filters in range(4, 16):
        path = tmp_path / f"{filters}.tflite"
        path.write_bytes(small_network(filters=filters))
        made.append(Workload.of(path, 1))
    return made


def test_a_killed_service_loses_nothing(service, workloads):
    answers = {}

    def ask(number, workload):
        with LabClient(service.url, service.tokens["search"]) as lab:
            answers[number] = lab.measure(workload, key=f"killed-{number}")

    askers = [threading.Thread(target=ask, args=pair) for pair in enumerate(workloads * 2)]
    for asker in askers:
        asker.start()
    for _ in range(3):
        service.kill()
        service.start()
    for asker in askers:
        asker.join(120)
    assert [answers[number].fingerprint for number in range(24)] == [one.fingerprint for one in workloads] * 2
    with Store(service.folder / "lab.sqlite", readonly=True) as store:
        told = [json.loads(row.body) for row in store.events()]
        assert store.verify().problems == ()
    ends = [event["request"] for event in told if event["kind"] == "request_ended"]
    keys = [event["key"] for event in told if event["kind"] == "measurement_committed"]
    assert len(ends) == len(set(ends)) >= 24
    assert len(keys) == len(set(keys))
    with LabClient(service.url, service.tokens["search"]) as lab:
        assert lab.measure(workloads[0], key="killed-0") == answers[0]


def test_the_stream_goes_on_where_it_was(service):
    import httpx2

    headers = {"Authorization": f"Bearer {service.tokens['read-only']}", "Last-Event-ID": "3"}
    with httpx2.stream("GET", service.url + "/events", headers=headers, timeout=20) as stream:
        lines = stream.iter_lines()
        numbers = []
        while len(numbers) < 50:
            line = next(lines)
            numbers += [int(line[4:])] if line.startswith("id: ") else []
    assert numbers == list(range(4, 54))


def test_a_study_measures_there(service, workloads):
    from search.tuning.latency import LabService, measuring

    with measuring(LabService(service.url, service.tokens["search"], "thesis")) as measure:
        measured = measure(workloads[3])
    assert (measured.fingerprint, measured.source) == (workloads[3].fingerprint, "simulated")


def test_a_stranger_gets_nothing(service):
    with LabClient(service.url, "ferlab_nonsense") as lab, pytest.raises(AccessError):
        lab.get("/api/v1/status")

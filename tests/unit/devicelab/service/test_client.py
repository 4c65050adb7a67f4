"""The clients against the real application behind a real socket: uploads, typed errors, a service that goes away."""

import asyncio
import threading

import pytest

from devicelab.api import Problem
from devicelab.client import AsyncLabClient, LabClient, find_token
from devicelab.errors import AccessError, ConfigError, DeviceError, ServiceError, UploadError, WorkloadError
from devicelab.measurement import Measurement, Workload


@pytest.fixture
def workload(model):
    return Workload.of(model, 4)


@pytest.fixture
def answer(workload):
    numbers = dict.fromkeys(
        ("median_ms", "low_ms", "high_ms", "p90_ms", "first_ms", "phone_seconds", "measured_at"), 2.5
    )
    words = dict.fromkeys(("device", "product", "os_build", "runtime", "protocol"), "x")
    graph = {"fingerprint": workload.fingerprint, "threads": workload.threads}
    return Measurement(**numbers, **words, **graph, runs=9, source="simulated", readings=(), blocks=2)


def later(desk, answer):
    """Let the desk know *answer* in a moment."""
    timer = threading.Timer(0.3, lambda: desk.answers.update({answer.fingerprint: {"measurement": answer}}))
    timer.start()
    return timer


def test_measures_and_sends_the_network_once(running, token, desk, workload, answer, tmp_path):
    with LabClient(running.url, token["search"]) as lab:
        timer = later(desk, answer)
        assert lab.measure(workload, threshold_ms=30.0) == answer
        assert lab.measure(workload, search="other") == answer
        timer.join()
    assert len(list((tmp_path / "uploads").rglob("*.tflite"))) == 1
    first, second = desk.requests.values()
    assert (first.search, first.threads, first.threshold_ms) == ("some-search", 4, 30.0)
    assert second.search == "other"


def test_survives_a_restart_of_the_service(running, token, desk, workload, answer):
    found = []
    with LabClient(running.url, token["search"]) as lab:
        asker = threading.Thread(target=lambda: found.append(lab.measure(workload, key="mine")))
        asker.start()
        while not desk.requests:
            pass
        running.stop()
        desk.answers[answer.fingerprint] = {"measurement": answer}
        running.start()
        asker.join(timeout=20)
    assert found == [answer]
    assert list(desk.requests) == ["mine"]


def test_many_coroutines_wait_at_once(running, token, desk, workload, answer):
    async def ask():
        async with AsyncLabClient(running.url, token["search"]) as lab:
            return await asyncio.gather(*(lab.measure(workload) for _ in range(30)))

    timer = later(desk, answer)
    assert asyncio.run(ask()) == [answer] * 30
    timer.join()
    assert len(desk.requests) == 30


def test_what_a_measurement_ends_in_is_raised(running, token, desk, workload):
    desk.answers[workload.fingerprint] = {"problem": Problem.of(DeviceError("three phones were hot"))}
    with LabClient(running.url, token["search"]) as lab, pytest.raises(DeviceError, match="three phones were hot"):
        lab.measure(workload)


def test_refusals_are_typed(running, token, workload, tmp_path):
    with LabClient(running.url, token["read-only"]) as lab, pytest.raises(AccessError, match="may not measure"):
        lab.measure(workload)
    with LabClient(running.url, "nonsense") as lab, pytest.raises(AccessError, match="no valid token"):
        lab.get("/api/v1/status")
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"nothing")
    with LabClient(running.url, token["search"]) as lab:
        with pytest.raises(UploadError, match=r"not a \.tflite"):
            lab.measure(workload.model_copy(update={"path": broken}))
        with pytest.raises(WorkloadError, match="cannot be read"):
            lab.measure(workload.model_copy(update={"path": tmp_path / "none"}))


def test_nobody_there_is_said_with_the_reason():
    with (
        LabClient("http://127.0.0.1:9", "x", patience=0.05) as lab,
        pytest.raises(ServiceError, match="has not answered"),
    ):
        lab.get("/api/v1/status")
    with pytest.raises(ConfigError, match="looks like http://host:8750"):
        LabClient("lab:8750", "x")


def test_finds_its_token(tmp_path, monkeypatch):
    monkeypatch.delenv("FER_LAB_TOKEN", raising=False)
    with pytest.raises(AccessError, match="set FER_LAB_TOKEN"):
        find_token()
    monkeypatch.setenv("FER_LAB_TOKEN", "from-environment")
    assert find_token() == "from-environment"
    (tmp_path / "token").write_text("from-file\n")
    assert find_token(tmp_path / "token") == "from-file"
    with pytest.raises(AccessError, match="cannot be read"):
        find_token(tmp_path / "none")

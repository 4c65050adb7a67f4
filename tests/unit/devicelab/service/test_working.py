"""The routes for agents: what they tell becomes commands, for their own phones and nobody else's."""

import pytest

from devicelab import commands as cmd
from devicelab.errors import LeaseError

HEALTH = {"temperature_c": 30.0, "battery_percent": 50.0, "frequency_mhz": None, "nominal_mhz": 1804.8}
ADDRESS = "/api/v1/agent/moto-g6-1/7"


@pytest.fixture
def own(desk, of):
    """Let moto-g6-1 hang on the agent's host; return its headers."""
    desk.phones["moto-g6-1"] = desk.phones["moto-g6-1"].model_copy(update={"host": "some-agent"})
    return of("agent")


def test_an_agent_brings_its_phones(web, of, desk):
    platform = {"product": "Moto G6", "os_build": "Android 9", "runtime": "TFLite", "source": "phone"}
    arrival = {"devices": [{"name": "ZY22", "platform": platform}], "room": "attic", "fresh": ["ZY22"]}
    assert web.post("/api/v1/agent/hello", json=arrival, headers=of("agent")).json() == {"devices": 1}
    assert desk.arrived == ("some-agent", "attic", ["ZY22"], {"ZY22"})
    assert web.post("/api/v1/agent/claim?wait=0", headers=of("agent")).json() == []


@pytest.mark.parametrize(
    ("what", "body", "command"),
    [
        ("started", None, cmd.Started("moto-g6-1", 7)),
        ("heartbeat", None, cmd.Heartbeat("moto-g6-1", 7)),
        ("failed", {"message": "hot", "fault": "F19"}, cmd.Failed("moto-g6-1", 7, "hot", "F19")),
        ("failed", {"message": "hot", "reason": "hot"}, cmd.Failed("moto-g6-1", 7, "hot", reason="hot")),
        ("failed", {"message": "bad op", "workload": True}, cmd.Failed("moto-g6-1", 7, "bad op", "F0", workload=True)),
    ],
)
def test_what_an_agent_tells_becomes_a_command(web, own, desk, what, body, command):
    answer = web.post(f"{ADDRESS}/{what}", json=body, headers=own)
    assert (answer.status_code, answer.json()) == (200, {"seq": 7})
    assert desk.told == [command]


def test_a_calibration_and_a_loss(web, own, desk):
    web.post(f"{ADDRESS}/done", json={"health": HEALTH, "factor": 1.02, "error": 0.001}, headers=own)
    web.post("/api/v1/agent/moto-g6-1/lost", json={}, headers=own)
    done, lost = desk.told
    assert (done.factor, done.health.temperature_c, lost.fault) == (1.02, 30.0, "F8")


def test_an_agent_speaks_for_its_own_phones_only(web, own, desk):
    answer = web.post("/api/v1/agent/moto-g6-2/7/heartbeat", headers=own)
    assert (answer.status_code, answer.json()["kind"]) == (403, "AccessError")
    assert not desk.told


def test_a_stale_lease_is_a_conflict(web, own, desk, monkeypatch):
    async def stale(command):
        raise LeaseError("lease 7 no longer holds")

    monkeypatch.setattr(desk, "tell", stale)
    answer = web.post(f"{ADDRESS}/heartbeat", headers=own)
    assert (answer.status_code, answer.json()["kind"]) == (409, "LeaseError")


@pytest.mark.parametrize("body", [{"message": "x", "fault": "F1;reboot"}, {"message": "x" * 3000}, {}])
def test_what_cannot_be_is_refused(web, own, desk, body):
    assert web.post(f"{ADDRESS}/failed", json=body, headers=own).status_code == 422
    assert not desk.told

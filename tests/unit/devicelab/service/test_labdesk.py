"""The desk of a real lab: real coordinator and store, simulated phones a hundred times as fast as real ones."""

import asyncio
import hashlib
import json

import pytest

from devicelab import commands as cmd
from devicelab.api import Submission
from devicelab.config import LabConfig, SimulatedPhone
from devicelab.device import Device, Platform
from devicelab.errors import ConfigError, LeaseError, NoDeviceError
from devicelab.events import BACKGROUND, INTERACTIVE, NORMAL, decode
from devicelab.graph import read_graph
from devicelab.service.opening import desk_for
from devicelab.service.views import LabView
from devicelab.store import Store

PHONES = LabConfig(devices=tuple(SimulatedPhone(name=f"p{n}", noise="silent") for n in (1, 2, 3)))

AWAY = Platform(product="Moto G6", os_build="Android 9", runtime="TFLite", source="phone")


@pytest.fixture
def submission(model):
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    return Submission(sha256=digest, fingerprint=read_graph(model).fingerprint, threads=1, search="demo")


@pytest.fixture
def at_desk(tmp_path):
    """Run a coroutine function on an open desk; the store stays from one call to the next."""

    def run(scene, config=PHONES):
        async def play():
            desk = desk_for(config, tmp_path / "lab.sqlite", speed=100.0)
            await desk.open()
            try:
                return await asyncio.wait_for(scene(desk), 60)
            finally:
                desk.close()

        return asyncio.run(play())

    return run


async def ready(desk, count=3):
    while sum(phone.state == "READY" for phone in desk.view().phones) < count:
        await desk.feed.wait(desk.feed.last, 1)


def test_measures_once_and_answers_ever_after(at_desk, submission, model):
    async def first(desk):
        wanted = await desk.submit("a", submission, None)
        asked = await asyncio.gather(*(desk.submit(key, submission, model) for key in ("a", "b", "c")))
        ends = await asyncio.gather(*(desk.wait(key, 60) for key in ("a", "b", "c")))
        known = await desk.submit("d", submission, None)
        return wanted, asked, ends, known, desk.view()

    wanted, asked, ends, known, view = at_desk(first)
    assert wanted.upload
    assert [ticket.stage for ticket in asked] == ["waiting"] * 3
    assert len({end.measurement.median_ms for end in ends}) == 1
    assert (known.stage, known.measurement) == ("store", ends[0].measurement)
    assert (view.measured, view.answered_from_store, view.waiting + view.running) == (1, 1, 0)

    async def after_a_restart(desk):
        return await desk.submit("a", submission, None), await desk.measurements(10), desk.view()

    again, measured, view = at_desk(after_a_restart)
    assert again.measurement == ends[0].measurement
    assert [one["median_ms"] for one in measured] == [ends[0].measurement.median_ms]
    assert view.measured == 1


def test_a_request_outlives_the_process(at_desk, submission, model):
    async def leave(desk):
        return await desk.submit("a", submission, model)

    async def come_back(desk):
        return await desk.wait("a", 60)

    assert at_desk(leave).measurement is None
    assert at_desk(come_back).measurement is not None


def test_a_key_is_one_request(at_desk, submission, model):
    async def scene(desk):
        await desk.submit("a", submission, model)
        with pytest.raises(ConfigError, match="a is another request's"):
            await desk.submit("a", submission.model_copy(update={"threads": 4}), model)

    at_desk(scene)


def test_a_request_may_go_before_the_others_or_behind_them(at_desk, submission, model, tmp_path):
    async def scene(desk):
        for key, change in {"a": {}, "b": {"background": True}, "c": {"interactive": True}}.items():
            await desk.submit(key, submission.model_copy(update=change), model)

    at_desk(scene)
    with Store(tmp_path / "lab.sqlite", readonly=True) as store:
        asked = [decode(row.body) for row in store.events(kind="request_submitted")]
    priorities = {one.request: one.priority for one in asked if one.request in {"a", "b", "c"}}
    assert priorities == {"a": NORMAL, "b": BACKGROUND, "c": INTERACTIVE}


def test_no_phone_is_no_phone(at_desk, submission):
    async def scene(desk):
        with pytest.raises(NoDeviceError, match="no device matches name=nobody"):
            await desk.submit("b", Submission(**submission.model_dump() | {"selector": {"name": "nobody"}}), None)
        with pytest.raises(NoDeviceError, match="nobody made a request 'x'"):
            await desk.wait("x", 1)
        with pytest.raises(NoDeviceError, match="has no phone 'x'"):
            await desk.history("x")
        with pytest.raises(NoDeviceError, match="has no phone 'x'"):
            await desk.operate("x", "drain", "ann", "because")

    at_desk(scene)


def test_an_operator_acts_and_the_log_knows_who(at_desk):
    async def scene(desk):
        await ready(desk)
        before = desk.feed.last
        await desk.operate("p2", "drain", "ann", "swollen")
        with pytest.raises(ConfigError, match="release needs a phone that is"):
            await desk.operate("p2", "release", "ann", "because")
        live = desk.feed.after(before)
        kept = await desk.events(before, 10)
        return desk.view(), await desk.history("p2"), live, kept

    view, history, live, kept = at_desk(scene)
    assert [phone.draining for phone in view.phones] == [False, True, False]
    assert history.moments[0].text == "drain, by ann: swollen"
    assert [span.state for span in history.spans][-1] == "READY"
    assert history.points[0].factor == pytest.approx(1, abs=0.1)
    assert [item.body for item in live] == [item.body for item in kept]
    assert json.loads(live[0].body)["event"]["who"] == "ann"


def test_the_json_is_the_view(at_desk):
    async def scene(desk):
        await ready(desk)
        return desk.view(), {
            part: json.loads(desk.view_json(part)) for part in ("status", "devices", "leases", "queue")
        }

    view, told = at_desk(scene)
    assert LabView.model_validate(told["status"]) == LabView.model_validate(view.model_dump())
    assert [phone["name"] for phone in told["devices"]] == ["p1", "p2", "p3"]
    assert told["leases"] == told["queue"] == []


def test_an_agent_works_under_its_lease(at_desk, submission, model):
    async def scene(desk):
        away = Device(name="away", platform=AWAY)
        await desk.arrive("far", "attic", [away])
        with pytest.raises(ConfigError, match="on another host already"):
            await desk.arrive("farther", "attic", [away])
        orders = await desk.claim("far", 5)
        assert [(order.lease.device, order.duty) for order in orders] == [("away", "prepare")]
        lease = orders[0].lease
        health = desk.view().phones[0].health or (await healthy(desk))
        await desk.tell(cmd.Heartbeat("away", lease.token))
        await desk.tell(cmd.Done("away", lease.token, health))
        with pytest.raises(LeaseError, match="no longer holds"):
            await desk.tell(cmd.Done("away", lease.token, health))
        again = await desk.claim("far", 5)
        assert await desk.claim("far", 0.01) == ()
        return desk.host_of("away"), again[0].duty

    assert at_desk(scene) == ("far", "calibrate")


def test_what_a_new_worker_finds_is_over_and_what_is_gone_goes_elsewhere(at_desk):
    async def scene(desk):
        away, other = (Device(name=name, platform=AWAY) for name in ("away", "other"))
        await desk.arrive("far", "attic", [away, other])
        first = {order.lease.device: order.lease.token for order in await desk.claim("far", 5)}
        await desk.arrive("far", "attic", [away, other])
        assert await desk.claim("far", 0.01) == ()
        await desk.arrive("far", "attic", [away, other], {"away"})
        (again,) = await desk.claim("far", 5)
        assert (again.lease.device, again.duty) == ("away", "prepare")
        assert again.lease.token > first["away"]
        with pytest.raises(LeaseError, match="no longer holds"):
            await desk.tell(cmd.Heartbeat("away", first["away"]))
        await desk.arrive("far", "attic", [away])
        with pytest.raises(LeaseError, match="no longer holds"):
            await desk.tell(cmd.Heartbeat("other", first["other"]))
        return await desk.tell(cmd.Heartbeat("away", again.lease.token))

    assert at_desk(scene)["seq"] > 0


def test_orders_go_to_the_agent_that_lives(at_desk):
    async def scene(desk):
        dead = asyncio.create_task(desk.claim("far", 50))
        await asyncio.sleep(0)
        await desk.arrive("far", "attic", [Device(name="away", platform=AWAY)], {"away"})
        return await dead, await desk.claim("far", 5)

    dead, living = at_desk(scene)
    assert dead == ()
    assert [order.duty for order in living] == ["prepare"]


def test_a_lab_may_have_no_phones_of_its_own(at_desk):
    async def scene(desk):
        await desk.arrive("far", "attic", [Device(name="away", platform=AWAY)])
        return await desk.claim("far", 5)

    (order,) = at_desk(scene, LabConfig(devices=()))
    assert order.lease.device == "away"


async def healthy(desk):
    await ready(desk)
    return desk.view().phones[0].health


@pytest.mark.parametrize(("name", "speed", "reason"), [("a b", 1.0, "needs names of letters")])
def test_what_cannot_be_served_is_refused_before_the_start(tmp_path, name, speed, reason):
    with pytest.raises(ConfigError, match=reason):
        desk_for(LabConfig(devices=(SimulatedPhone(name=name),)), tmp_path / "lab.sqlite", speed)

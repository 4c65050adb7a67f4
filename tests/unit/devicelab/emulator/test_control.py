"""Faults: ordered at once or armed, by the control channel or the command, and what a restart does."""

import asyncio
import json

import emulated
import pytest
from click.testing import CliRunner

from devicelab.cli import cli
from devicelab.drivers.appium.server import free_port
from devicelab.emulator.clock import PhoneClock
from devicelab.emulator.control import Control, ask
from devicelab.emulator.faults import FAULTS, WHENS
from devicelab.emulator.fleet import Ports, check_ports, serve
from devicelab.emulator.mischief import Mischief
from devicelab.emulator.phone import EmulatedPhone
from devicelab.emulator.server import Cable
from devicelab.errors import ConfigError, NoDeviceError
from devicelab.protocols import SystemClock, VirtualClock


def orders(*requests):
    """Return the answers of the control channel of one phone, and the phone."""

    async def scenario():
        cable = Cable(emulated.phone(), 0)
        await cable.plug()
        control = Control({"ZY322TEST1": cable})
        try:
            return [await control.answer(request) for request in requests], cable
        finally:
            cable.unplug()

    return asyncio.run(scenario())


def test_every_fault_can_be_ordered_now_and_armed():
    for fault in FAULTS:
        if fault != "reboot":
            answers, _ = orders({"do": fault}, {"do": fault, "when": "run"})
            assert answers[0]["phone"]["happened"] == [f"{fault}@now"]
            assert answers[1]["phone"]["armed"] == [f"{fault}@run"]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"do": "explode"}, "no fault is named 'explode'"),
        ({"do": "drop", "when": "never"}, "no moment is named 'never'"),
        ({"do": "drop", "phone": "ZZ"}, "no phone is called 'ZZ'"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is(request_, words):
    with pytest.raises(ConfigError, match=words):
        orders(request_)


def test_an_armed_fault_comes_once_at_its_moment():
    async def scenario():
        phone = emulated.phone()
        await Mischief(phone, Cable(phone, 0)).order("storage-full", "start")
        assert not phone.files.full
        await phone.reached("run")
        assert not phone.files.full
        await phone.reached("start")
        first = phone.files.full
        phone.files.full = False
        await phone.reached("start")
        return first, phone.files.full, phone.faults.happened

    assert asyncio.run(scenario()) == (True, False, ["storage-full@start"])


def test_a_restart_ends_what_ran_and_comes_back_in_two_steps():
    async def scenario():
        phone = emulated.phone()
        cable = Cable(phone, 0)
        await cable.plug()
        before = phone.boot_id
        endless = phone.start(asyncio.Event().wait())
        await Mischief(phone, cable).order("reboot", "now")
        gone = not cable.plugged
        await emulated.until(lambda: cable.plugged)
        booting = phone.properties["sys.boot_completed"]
        await emulated.until(lambda: phone.properties["sys.boot_completed"])
        cable.unplug()
        return gone, booting, phone.boot_id != before, endless.cancelled(), phone.uptime() < 3000

    assert asyncio.run(scenario()) == (True, "", True, True, True)


def fleet(use, phones=2):
    """Run *use* with where the phones are, in a thread, while they are switched on."""

    async def scenario():
        found = asyncio.get_running_loop().create_future()
        configs = [EmulatedPhone(serial=f"ZY32200{number}") for number in range(phones)]
        serving = asyncio.ensure_future(serve(configs, Ports(0, 0), SystemClock(), ready=found.set_result))
        where = await asyncio.wait_for(found, 10)
        try:
            return await asyncio.to_thread(use, where)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    return asyncio.run(scenario())


def test_phones_of_one_fleet_are_told_apart():
    def use(where):
        ask(where["control"], do="unplug", phone="ZY322001")
        return [phone["plugged"] for phone in ask(where["control"], do="state")["phones"]]

    assert fleet(use) == [True, False]


def test_the_channel_says_what_is_wrong_with_an_order():
    def use(where):
        with pytest.raises(ConfigError, match="no fault is named"):
            ask(where["control"], do="explode")
        return ask(where["control"], do="trace")["trace"]

    assert fleet(use) == []


def test_the_command_orders_and_tells():
    def use(where):
        port = str(where["control"])
        runner = CliRunner()
        ordered = runner.invoke(cli, ["fault", "hot", "--control-port", port])
        state = runner.invoke(cli, ["fault", "state", "--control-port", port, "--json"])
        return ordered, json.loads(state.output)

    ordered, state = fleet(use)
    assert ordered.exit_code == 0
    assert "hot@now" in ordered.output
    assert state[0]["temperature_c"] == 47.0


def test_the_command_lists_all_faults():
    said = CliRunner().invoke(cli, ["fault", "list", "--json"])
    assert set(json.loads(said.output)) == set(FAULTS)


def test_without_phones_the_command_says_how_to_get_some():
    said = CliRunner().invoke(cli, ["fault", "drop", "--control-port", str(free_port())])
    assert said.exit_code == 3
    assert "fer-lab emulate" in said.output
    with pytest.raises(NoDeviceError):
        ask(free_port(), do="state")


@pytest.mark.parametrize(
    ("ports", "words"),
    [(Ports(5555, 0), "adb scans"), (Ports(20000, 20001), "choose another"), (Ports(65535, 0), "only 65535")],
)
def test_ports_that_would_not_do(ports, words):
    with pytest.raises(ConfigError, match=words):
        check_ports(ports, 2)


def test_a_port_in_use_is_named():
    async def scenario():
        listening = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        try:
            config = EmulatedPhone(serial="ZY32200")
            await serve([config], Ports(port, 0), SystemClock(), ready=lambda _: None)
        finally:
            listening.close()

    with pytest.raises(ConfigError, match="in use"):
        asyncio.run(scenario())


def test_the_moments_are_those_of_a_measurement():
    assert WHENS == ("now", "push", "start", "run", "read")


def test_the_phones_time_passes_at_its_own_speed():
    wall = VirtualClock(100.0)
    clock = PhoneClock(wall, speed=10.0)
    wall.sleep(3.0)
    assert clock.now() == pytest.approx(130.0)


def test_emulate_ends_when_told_and_leaves_nothing():
    emulator = emulated.Emulator(phones=2)
    assert len(set(emulator.udids)) == 2
    assert emulator.close() == 0

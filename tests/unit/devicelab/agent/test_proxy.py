"""A driver in a process of its own: the same answers and errors, and what its death means. The phone is arithmetic."""

import os
import signal
import subprocess
import sys
import threading

import psutil
import pytest

from devicelab.agent import proxy
from devicelab.agent.hand import Opening
from devicelab.agent.proxy import ProcessDriver, worker_environment
from devicelab.config import AppiumPhone, SimulatedPhone
from devicelab.drivers.appium import processes
from devicelab.errors import ConfigError, DeviceError, WorkloadError
from devicelab.faults import Rung
from devicelab.measurement import Workload

PHONE = SimulatedPhone(name="far", noise="silent")


@pytest.fixture(scope="module")
def shared():
    driver = ProcessDriver(Opening(PHONE), worker_environment(processes.my_mark()))
    yield driver
    driver.close()


@pytest.fixture
def driver():
    driver = ProcessDriver(Opening(PHONE), worker_environment(processes.my_mark()))
    yield driver
    driver.close()


def test_it_answers_as_the_driver_does(shared, model):
    assert (shared.device.name, shared.device.platform.source) == ("far", "simulated")
    assert shared.health().battery_percent > 0
    shared.load(Workload.of(model, 2))
    assert shared.run(5).runs >= 5
    assert shared.reference(5).typical_ms == pytest.approx(shared.reference_ms, rel=0.1)
    shared.unload()
    shared.recover(Rung.RECONNECT)


def test_errors_cross_the_border_as_they_are(shared, model):
    with pytest.raises(DeviceError, match="nothing is loaded"):
        shared.run(1)
    with pytest.raises(WorkloadError, match="99 threads"):
        shared.load(Workload.of(model, 99))


def test_it_carries_its_agents_mark_and_does_not_end_with_appium(shared):
    mark = psutil.Process(shared.pid).environ()[processes.MARK]
    assert mark == processes.my_mark() + processes.WORKER
    assert processes.owner_lives(mark)
    assert shared.pid not in {process.pid for process in processes.marked(processes.my_mark())}


def test_one_that_was_killed_at_rest_is_replaced(driver):
    before = driver.pid
    os.kill(before, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(before)], timeout=10)
    assert driver.health().battery_percent > 0
    assert driver.pid not in {0, before}


def test_one_that_hangs_is_killed_and_one_that_dies_at_work_is_nobodys_strike(driver, monkeypatch):
    monkeypatch.setattr(proxy, "LIMITS", {**proxy.LIMITS, "health": 0.2})
    os.kill(driver.pid, signal.SIGSTOP)
    with pytest.raises(DeviceError, match="no answer to health in 0 s") as hung:
        driver.health()
    assert (hung.value.fault.id, driver.pid) == ("F15", 0)
    monkeypatch.undo()
    driver.health()
    os.kill(driver.pid, signal.SIGSTOP)
    threading.Timer(0.2, os.kill, (driver.pid, signal.SIGKILL)).start()
    with pytest.raises(DeviceError, match="died of SIGKILL at health") as died:
        driver.health()
    assert (died.value.fault.id, died.value.fault.blame) == ("F28", "ours")


def test_an_abandoned_one_does_nothing_any_more(driver):
    driver.abandon()
    with pytest.raises(DeviceError, match=r"died of SIGKILL|is closed"):
        driver.health()
    with pytest.raises(DeviceError, match="is closed"):
        driver.health()
    assert driver.pid == 0


def test_one_that_cannot_open_says_why_and_leaves_nothing():
    phone = AppiumPhone(driver="appium", name="p", udid="ZY1")
    with pytest.raises(ConfigError, match="no server was named"):
        ProcessDriver(Opening(phone), {})


def test_it_ends_with_its_agent_however_that_dies():
    code = (
        "from devicelab.agent.hand import Opening\n"
        "from devicelab.agent.proxy import ProcessDriver\n"
        "from devicelab.config import SimulatedPhone\n"
        "import time\n"
        "print(ProcessDriver(Opening(SimulatedPhone(name='p')), {}).pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    agent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    worker = psutil.Process(int(agent.stdout.readline()))
    agent.kill()
    agent.communicate()
    gone, left = psutil.wait_procs([worker], timeout=10)
    assert (len(gone), left) == (1, [])

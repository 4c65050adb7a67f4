"""``fer-lab agent``: what it needs before it starts is asked for in words; a host of simulated phones needs no adb."""

import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from devicelab.agent.locks import default_folder, locked
from devicelab.cli import cli

SHELF = '[[devices]]\ndriver = "appium"\nname = "a"\nudid = "ZY-test-of-the-agent"\n'
URL = "http://127.0.0.1:9"


@pytest.fixture
def asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FER_LAB_TOKEN", "ferlab_x")
    monkeypatch.delenv("FER_LAB_URL", raising=False)
    (tmp_path / "shelf.toml").write_text(SHELF)
    return lambda *more: CliRunner().invoke(cli, ["agent", "--lab", "shelf.toml", *more])


def test_it_asks_for_the_service(asked):
    result = asked()
    assert (result.exit_code, "say where the lab's service is" in result.output) == (2, True)


def test_it_asks_for_a_token(asked, monkeypatch):
    monkeypatch.delenv("FER_LAB_TOKEN")
    result = asked("--url", URL)
    assert (result.exit_code, "no token for the lab's service" in result.output) == (2, True)


def test_it_leaves_a_phone_alone_that_another_agent_drives(asked):
    signs = [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)]
    with locked(["ZY-test-of-the-agent"], default_folder()):
        result = asked("--url", URL)
    assert (result.exit_code, "another agent drives it" in result.output) == (2, True)
    assert [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)] == signs


def test_it_ends_when_it_is_told_to_though_the_service_is_away(tmp_path):
    (tmp_path / "shelf.toml").write_text('[[devices]]\nname = "made-up"\n')
    path = os.pathsep.join(part for part in sys.path if part)
    environment = {**os.environ, "PYTHONPATH": path, "FER_LAB_TOKEN": "ferlab_x"}
    command = [sys.executable, "-m", "devicelab.cli", "agent", "--lab", "shelf.toml", "--url", URL]
    agent = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    said = ""
    while "made-up: Moto G6" not in said:
        said = agent.stderr.readline()
        assert said, "the agent ended"
    agent.terminate()
    agent.communicate(timeout=30)
    assert agent.returncode == 0

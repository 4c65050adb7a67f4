"""fer-lab against a running service: what it shows, what it does, and how it is refused."""

import json

import pytest
from click.testing import CliRunner

from devicelab.cli import cli


@pytest.fixture
def fer_lab(running, token, tmp_path):
    def run(*arguments, role="operator", code=0):
        environment = {"FER_LAB_URL": running.url, "FER_LAB_TOKEN": token[role], "FER_LAB_STORE": str(tmp_path / "no")}
        result = CliRunner().invoke(cli, arguments, env=environment)
        assert result.exit_code == code, result.output
        return result

    return run


def test_looks(fer_lab):
    listing = fer_lab("devices", role="read-only").stdout
    assert listing.count("simulated") == 64
    assert "measuring" in listing
    assert len(json.loads(fer_lab("devices", "--json").stdout)) == 64
    assert "demo" in fer_lab("queue").stdout
    assert json.loads(fer_lab("queue", "--json").stdout)[0]["search"] == "demo"
    assert "room a" in fer_lab("incidents").stdout
    assert json.loads(fer_lab("incidents", "--json").stdout)[0]["fault"] == "F20"


def test_shows_one_phone(fer_lab):
    shown = fer_lab("show", "moto-g6-3").stdout
    assert "CALIBRATING" in shown
    assert "simulated" in shown
    assert json.loads(fer_lab("show", "moto-g6-3", "--json").stdout)["phone"]["name"] == "moto-g6-3"
    assert "no phone" in fer_lab("show", "nobody", code=3).stderr


@pytest.mark.parametrize("action", ["drain", "undrain", "quarantine", "recalibrate", "retire", "release"])
def test_acts_with_a_reason(fer_lab, desk, action):
    said = fer_lab(action, "moto-g6-1", "--why", "it looks swollen").stdout
    assert said == f"moto-g6-1: {action}, by some-operator: it looks swollen\n"
    assert desk.orders == [("moto-g6-1", action, "some-operator", "it looks swollen")]


def test_is_refused_in_one_line(fer_lab, desk):
    refused = fer_lab("drain", "moto-g6-1", "--why", "because", role="read-only", code=2).stderr
    assert refused == "fer-lab: some-read-only is read-only and may not operate; ask an operator for another token\n"
    assert "Missing option '--why'" in fer_lab("drain", "moto-g6-1", code=2).stderr
    assert "at least 3 characters" in fer_lab("drain", "moto-g6-1", "--why", "x", code=2).stderr
    assert "string should match" in fer_lab("drain", "a;reboot", "--why", "because", code=2).stderr.lower()
    assert not desk.orders


def test_needs_to_know_where():
    result = CliRunner().invoke(cli, ["drain", "a", "--why", "because"], env={"FER_LAB_URL": None})
    assert (result.exit_code, "--url http://host:8750" in result.stderr) == (2, True)

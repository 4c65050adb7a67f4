"""fer-lab audit verify, backup, prune: an honest log is said to be whole, a changed one is not, copies are whole."""

import json
import sqlite3

import pytest
from click.testing import CliRunner

from devicelab.cli import cli
from devicelab.config import LabConfig
from devicelab.lab import Lab
from devicelab.measurement import Workload
from devicelab.store import Store


@pytest.fixture
def path(tmp_path, model):
    """A store with one measurement in it."""
    with Lab(LabConfig.simulated(), tmp_path / "lab.sqlite") as lab:
        lab.measure(Workload.of(model, 1))
    return tmp_path / "lab.sqlite"


@pytest.fixture
def fer_lab(tmp_path):
    def run(*arguments, code=0):
        environment = {"FER_LAB_STORE": str(tmp_path / "lab.sqlite"), "FER_LAB_URL": None}
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments], env=environment)
        assert result.exit_code == code, result.output
        return result

    return run


def test_nothing_yet_is_exit_code_3(fer_lab):
    for command in (("audit", "verify"), ("backup", "x"), ("prune",), ("queue",), ("incidents",), ("show", "a")):
        assert "yet" in fer_lab(*command, code=3).stderr


def test_a_whole_log_is_whole(fer_lab, path):
    said = fer_lab("audit", "verify").stdout
    with Store(path, readonly=True) as store:
        rows = list(store.events())
    assert said.startswith(f"{len(rows)} events, whole and in order; number {rows[-1].seq} has the hash ")
    assert json.loads(fer_lab("audit", "verify", "--json").stdout)["problems"] == []


def test_a_changed_row_is_found(fer_lab, path):
    with sqlite3.connect(path) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE events SET body = replace(body, 'golden', 'gilded') WHERE body LIKE '%golden%'")
    connection.close()
    assert "changed after it was written" in fer_lab("audit", "verify", code=1).stderr
    assert json.loads(fer_lab("audit", "verify", "--json", code=1).stdout)["problems"]


def test_a_backup_is_a_whole_store_and_overwrites_nothing(fer_lab, path, tmp_path):
    fer_lab("backup", tmp_path / "copy.sqlite")
    with Store(path, readonly=True) as store, Store(tmp_path / "copy.sqlite", readonly=True) as copy:
        assert copy.measurements() == store.measurements()
        assert list(copy.events()) == list(store.events())
    assert "never overwrites" in fer_lab("backup", tmp_path / "copy.sqlite", code=1).stderr


def test_prune_keeps_what_is_young(fer_lab, path):
    assert fer_lab("prune").stdout == "0 blocks lost their single runs\n"
    with Lab(LabConfig.simulated(), path):
        assert "in use by" in fer_lab("prune", code=1).stderr


def test_a_busy_store_is_not_served(fer_lab, path, tmp_path):
    options = ("--tokens", tmp_path / "tokens.json", "--uploads", tmp_path / "uploads", "--port", 0)
    with Lab(LabConfig.simulated(), path):
        refused = fer_lab("serve", *options, code=1).stderr
    assert "nobody has a token" in refused
    assert "in use by process" in refused
    assert "Traceback" not in refused


def test_looks_without_a_service(fer_lab, path):
    assert "ready" in fer_lab("devices").stdout
    shown = fer_lab("show", "moto-g6-1").stdout
    assert "block recorded" in shown
    assert "simulated" in shown
    assert fer_lab("queue").stdout == "nobody waits\n"
    assert fer_lab("incidents").stdout == "no incident\n"
    assert "has no phone 'x'" in fer_lab("show", "x", code=3).stderr

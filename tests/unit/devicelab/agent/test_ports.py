"""The registry of ports: the same phone always gets the same port."""

import json

import pytest

from devicelab.agent.bus import one_adb_port
from devicelab.agent.locks import locked
from devicelab.agent.ports import FIRST_SYSTEM_PORT, assigned, remembered
from devicelab.config import AppiumPhone
from devicelab.errors import ConfigError


def phone(udid, port=0, adb_port=5037):
    return AppiumPhone(driver="appium", name=f"n-{udid}", udid=udid, system_port=port, adb_port=adb_port)


@pytest.mark.parametrize(
    ("known", "phones", "expected"),
    [
        ({}, [phone("a"), phone("b")], {"a": 8200, "b": 8201}),
        ({"b": 8200}, [phone("a"), phone("b")], {"a": 8201, "b": 8200}),
        ({"gone": 8200}, [phone("a")], {"a": 8201}),
        ({"a": 8200}, [phone("a"), phone("b", 8200)], {"a": 8201, "b": 8200}),
        ({"a": 8200}, [phone("a", 9000)], {"a": 9000}),
    ],
)
def test_who_gets_which_port(known, phones, expected):
    assert assigned(known, phones) == expected


def test_the_file_remembers_across_changes_of_the_list(tmp_path):
    path = tmp_path / "ports.json"
    first = remembered(path, [phone("a"), phone("b")])
    second = remembered(path, [phone("c"), phone("b")])
    third = remembered(path, [phone("a")])
    assert [one.system_port for one in (*first, *second, *third)] == [8200, 8201, 8202, 8201, 8200]
    assert first[0].name == "n-a"
    assert FIRST_SYSTEM_PORT in json.loads(path.read_text()).values()


@pytest.mark.parametrize("content", ["{", "[1]", '{"a": "x"'])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "ports.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"ports\.json: no registry of ports"):
        remembered(path, [phone("a")])


def test_one_host_has_one_adb_server():
    assert one_adb_port([phone("a"), phone("b")]) == 5037
    with pytest.raises(ConfigError, match="adb_port 5037 and 5038"):
        one_adb_port([phone("a"), phone("b", adb_port=5038)])


def test_two_agents_cannot_drive_one_phone(tmp_path):
    with locked(["a", "10.0.0.5:5555"], tmp_path):
        with pytest.raises(ConfigError, match=r"phone a: another agent drives it .*process"):
            locked(["b", "a"], tmp_path)
        locked(["b"], tmp_path).close()
    locked(["a"], tmp_path).close()

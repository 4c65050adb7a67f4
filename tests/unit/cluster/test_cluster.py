import os
import sys

import pytest
from click.testing import CliRunner

from cluster import launch
from cluster.cli import cli
from cluster.config import load_profile
from cluster.errors import ClusterError, NotRunning, ProfileError


def test_the_shipped_definition_loads():
    assert load_profile("local").cluster_name == "local"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cluster_nam: x\nprovider: {type: local}\n", "cluster_nam"),
        ("cluster_name: x\nprovider: {type: aws}\n", "provider.type"),
        ("cluster_name: x\nprovider: {type: local}\navailable_node_types: {head: {resources: {CPU: 0}}}\n", "CPU"),
        ("a: [", "cannot be read"),
        ("- 1", "(file)"),
    ],
)
def test_a_wrong_definition_names_file_and_key(tmp_path, text, said):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ProfileError) as caught:
        load_profile(str(path))
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_definition_lists_the_shipped_ones():
    with pytest.raises(ProfileError, match="shipped: local"):
        load_profile("nowhere")


def test_down_and_status_of_nothing_say_how_to_begin(tmp_path):
    with pytest.raises(NotRunning, match="fer-cluster up local"):
        launch.down("local", tmp_path)
    with pytest.raises(NotRunning, match="fer-cluster up local"):
        launch.status("local", tmp_path)


def test_a_record_of_an_ended_process_is_cleared_and_nobody_else_is_stopped(tmp_path):
    mine = launch.Running(name="local", pid=os.getpid(), started=0.0, address="127.0.0.1:1", log=tmp_path / "x.log")
    (tmp_path / "local.json").write_text(mine.model_dump_json())
    with pytest.raises(NotRunning, match="had ended already"):  # our pid, but another start time: not the recorded one
        launch.down("local", tmp_path)
    assert not (tmp_path / "local.json").exists()


def test_a_broken_record_is_an_error_that_names_it(tmp_path):
    (tmp_path / "local.json").write_text("{")
    with pytest.raises(ClusterError, match=r"local\.json"):
        launch.status("local", tmp_path)


def test_a_head_that_cannot_start_is_reported_with_its_log(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "_make_token", lambda: None)
    monkeypatch.setattr(
        launch, "_start_command", lambda profile, port: [sys.executable, "-c", "raise SystemExit('no ray')"]
    )
    with pytest.raises(ClusterError, match="no ray"):
        launch.up(load_profile("local"), tmp_path)
    assert not (tmp_path / "local.json").exists()


def test_the_command_line_shows_help():
    answer = CliRunner().invoke(cli, ["--help"])
    assert answer.exit_code == 0
    assert "fer-cluster up local" in answer.output

"""Every command has help, stands in the README, and answers ``--help`` without a traceback."""

from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
TREES = {
    "fer-search": "search.cli",
    "fer-lab": "devicelab.cli",
    "fer-cluster": "cluster.cli",
    "fer-data": "fer_core.cli",
}


def commands():
    for program, module in TREES.items():
        for name, command in import_module(module).cli.commands.items():
            yield pytest.param(program, command, id=f"{program} {name}")


@pytest.mark.parametrize(("program", "command"), commands())
def test_command_has_help_and_stands_in_the_readme(program, command):
    assert command.help, "a docstring that teaches"
    assert f"{program} {command.name}" in README


@pytest.mark.parametrize(("program", "command"), commands())
def test_every_option_says_what_it_does(program, command):
    silent = [o.name for o in command.params if isinstance(o, click.Option) and not o.help]
    assert silent == []


@pytest.mark.parametrize(("program", "command"), commands())
def test_help_answers(program, command):
    assert CliRunner().invoke(command, ["--help"]).exit_code == 0

"""``fer-cluster``: bring Ray machines up, look at them, take them down."""

import os
import sys
from pathlib import Path

import click

from cluster import launch
from cluster.config import load_profile
from cluster.errors import ClusterError


def _default_state() -> Path:
    return Path(os.environ.get("FER_CLUSTER_STATE", Path.home() / ".cache" / "fer-search" / "clusters"))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=_default_state,
    show_default="~/.cache/fer-search/clusters",
    help="Folder with the records of running clusters (env FER_CLUSTER_STATE).",
)
@click.pass_context
def cli(context: click.Context, state: Path) -> None:
    r"""Ray machines for searches.

    \b
    fer-cluster up local                       start Ray on this machine
    fer-cluster submit local -- fer-search run examples/demo.toml
    fer-cluster down local                     stop what `up` started, nothing else
    """
    context.obj = state


@cli.command()
@click.argument("profile", default="local")
@click.pass_obj
def up(state: Path, profile: str) -> None:
    """Start the cluster PROFILE: the name of a shipped definition, or the path of a YAML file."""
    running = launch.up(load_profile(profile), state)
    settings = " ".join(f"{name}={value}" for name, value in launch.WITH_TOKEN.items())
    click.echo(f"{running.name} is up; to use it:\nexport RAY_ADDRESS={running.address} {settings}")


@cli.command()
@click.argument("name", default="local")
@click.pass_obj
def down(state: Path, name: str) -> None:
    """Stop the cluster NAME: exactly the processes that `up` started."""
    click.echo(f"{launch.down(name, state).name} is down")


@cli.command()
@click.argument("name", default="local")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
@click.pass_obj
def status(state: Path, name: str, as_json: bool) -> None:
    """Show the cluster NAME: address, nodes, resources in use."""
    running, answer = launch.status(name, state)
    click.echo(launch.as_json(running) if as_json else f"{running.name} at {running.address}\n{answer}")


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def submit(state: Path, name: str, command: tuple[str, ...]) -> None:
    """Run COMMAND with RAY_ADDRESS set to the cluster NAME: fer-cluster submit local -- fer-search run STUDY.toml."""
    sys.exit(launch.submit(name, state, list(command)))


def main() -> None:
    """Entry point: an error of this room becomes one line and its exit code."""
    try:
        cli()
    except ClusterError as error:
        click.echo(f"fer-cluster: {error}", err=True)
        sys.exit(error.exit_code)

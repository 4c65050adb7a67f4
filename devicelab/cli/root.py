"""The group ``fer-lab``, how it turns errors into exit codes, and the options that its commands share."""

import logging
from pathlib import Path

import click
from rich.console import Console
from rich.logging import RichHandler

from devicelab.config import LabConfig
from devicelab.errors import DeviceLabError, NoDeviceError
from devicelab.store import Store


class _Commands(click.Group):
    """Turns this room's errors into one line on stderr and the exit code of their kind."""

    def invoke(self, ctx: click.Context) -> None:
        try:
            super().invoke(ctx)
        except DeviceLabError as error:
            click.echo(f"fer-lab: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fer-search")
@click.option("-v", "--verbose", is_flag=True, help="Say what the lab does while it does it.")
def cli(*, verbose: bool) -> None:
    """Phones, leases and measurements.

    How fast is this network on a Moto G6?  fer-lab measure model.tflite --threads 4

    Which phones are there?  fer-lab devices

    Without --lab the phones are simulated and every output says so. Exit codes: 0 done, 1 failed,
    2 usage, 3 nothing available.
    """
    level = logging.INFO if verbose else logging.WARNING
    handler = RichHandler(console=Console(stderr=True), show_path=False)
    logging.basicConfig(level=level, format="%(message)s", handlers=[handler], force=True)


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
lab = click.option(
    "--lab",
    "lab_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The lab's configuration, a lab.toml.  [default: two simulated Moto G6]",
)
store = click.option(
    "--store",
    "store_path",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="FER_LAB_STORE",
    default=Path("lab.sqlite"),
    show_default=True,
    show_envvar=True,
    help="Where leases and measurements are kept.",
)


def config_at(path: Path | None) -> LabConfig:
    """Return the lab at *path*, or two simulated phones."""
    return LabConfig.simulated() if path is None else LabConfig.load(path)


def reading(store_path: Path, hint: str) -> Store:
    """Open the store for reading.

    Raises:
        NoDeviceError: there is none; *hint* says how to get one.
    """
    if not store_path.exists():
        raise NoDeviceError(f"{store_path}: {hint}")
    return Store(store_path, readonly=True)

"""Commands that act on a phone of a running service: each needs a reason, which is kept with your name."""

from pathlib import Path
from typing import get_args
from urllib.parse import quote

import click

from devicelab.api import ROOT, Action
from devicelab.cli.remote import client, service
from devicelab.cli.root import cli

_MEANING: dict[Action, str] = {
    "drain": "Let DEVICE finish what it does, then give it no more requests.",
    "undrain": "Give DEVICE requests again, after it has been prepared and checked.",
    "quarantine": "Take DEVICE out at once: what it measures now is dropped and measured on another phone.",
    "recalibrate": "Measure the reference model on DEVICE as soon as it is free, and use its new factor.",
    "retire": "Take DEVICE out for good. Its history stays.",
    "release": "End the lease on DEVICE: its holder is dead or stuck. The phone is cleaned up before it is free.",
}


def _command(action: Action) -> click.Command:
    @click.argument("device")
    @click.option("--why", required=True, metavar="REASON", help="Why; kept in the event log with your name.")
    @service
    def act(*, device: str, why: str, url: str | None, token_file: Path | None) -> None:
        with client(url, token_file) as lab:
            done = lab.post(f"{ROOT}/devices/{quote(device, safe='')}/{action}", {"why": why})
        click.echo(f"{done['device']}: {action}, by {done['who']}: {done['why']}")

    act.__doc__ = f'{_MEANING[action]}\n\n    Example: fer-lab {action} moto-g6-3 --why "battery looks swollen"\n    '
    return cli.command(action)(act)


COMMANDS = {action: _command(action) for action in get_args(Action)}
"""The commands by their names."""

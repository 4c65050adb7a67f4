"""Options that several commands of ``fer-search`` share."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from fer_core.data.sources import Layout


def studies_option[F: Callable[..., Any]](command: F) -> F:
    """Add ``--studies``."""
    return click.option(
        "--studies",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of studies; default $FER_STUDIES, else ./studies.",
    )(command)


def trials_option[F: Callable[..., Any]](command: F) -> F:
    """Add ``--trials``."""
    return click.option(
        "--trials", type=click.IntRange(min=1), help="Hand out at most this many trials in all; default: the budget."
    )(command)


def faces_options[F: Callable[..., Any]](*, required: bool) -> Callable[[F], F]:
    """Add the options that name a folder of labelled faces."""
    layout = click.Choice(get_args(Layout))
    options = (
        click.option("--data", required=required, type=click.Path(path_type=Path), help="Folder of labelled faces."),
        click.option("--layout", type=layout, default="cafe", show_default=True, help="How DIR names its faces."),
        click.option("--split", default="train", show_default=True, help="Which official split, or all."),
        click.option("--subject-pattern", help="Regular expression with (?P<subject>...), for a folders layout."),
    )
    return lambda command: functools.reduce(lambda made, option: option(made), reversed(options), command)


json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
"""Adds ``--json``, as ``as_json``."""

"""``fer-data``: render the synthetic set, check a data set. Exit codes: 0 done, 1 failed, 2 usage."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import click
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from fer_core.errors import ConfigError, FerError


class _Commands(click.Group):
    """Turns this room's errors into one line and an exit code: 2 for usage, 1 for everything else."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  click's own signature
        try:
            return super().invoke(ctx)
        except FerError as error:
            failure = click.UsageError if isinstance(error, ConfigError) else click.ClickException
            raise failure(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fer-search")
def cli() -> None:
    """Data sets: render the synthetic one, check your own."""


def main() -> None:
    """Run ``fer-data``."""
    cli()


@cli.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--seed", default=0, show_default=True, help="Other seeds show other people.")
@click.option("--children", default=154, show_default=True, help="Children in the evaluation set (CAFE has 154).")
@click.option("--train-children", default=115, show_default=True, help="Children to train on, 13 pictures each.")
@click.option("--train-adults", default=115, show_default=True, help="Adults to train on, 13 pictures each.")
@click.option("--size", default=128, show_default=True, help="Side of the pictures in pixels.")
@click.option("--processes", type=click.IntRange(min=1), help="Default: one a core.")
@click.option("--contact-sheet", type=click.Path(path_type=Path, dir_okay=False), help="Also write a PNG overview.")
def render(out: Path, *, processes: int | None, contact_sheet: Path | None, **options: int) -> None:
    """Render a synthetic set into OUT: cafe/ for evaluation, children/ and adults/ for training.

    The same options give the same bytes. A complete OUT is left as it is; an interrupted one is finished.
    """
    from fer_core.data.synthetic import render as renderer
    from fer_core.data.synthetic.plan import RenderOptions

    try:
        chosen = RenderOptions(**options)
    except ValidationError as error:
        first = error.errors()[0]
        name = "--" + str(first["loc"][0]).replace("_", "-")
        raise ConfigError(f"{name}: {_reason(first['msg'])} (given: {first['input']})") from error
    with _bar("rendering") as progress:
        made = renderer.render(out, chosen, processes=processes or os.cpu_count() or 1, progress=progress)
    click.echo(f"{out}: {made} pictures rendered" if made else f"{out}: complete already, nothing to render")
    if contact_sheet is not None:
        renderer.contact_sheet(out, chosen, contact_sheet)
        click.echo(f"{contact_sheet}: contact sheet written")


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--layout", type=click.Choice(["cafe", "folders"]), required=True, help="How the folder is laid out.")
@click.option("--split", default="train", show_default=True, help="Subfolder to read (layout folders).")
@click.option("--population", type=click.Choice(["children", "adults", "all"]), default="all", help="Who is shown.")
@click.option("--subject-pattern", help="Regular expression with (?P<subject>...), searched in <label>/<name>.")
@click.option("--json", "as_json", is_flag=True, help="Print the census as JSON.")
def check(
    folder: Path,
    *,
    layout: Literal["cafe", "folders"],
    split: str,
    population: Literal["children", "adults", "all"],
    subject_pattern: str | None,
    as_json: bool,
) -> None:
    """Count what FOLDER holds by class and group, and list every file that cannot be used."""
    from fer_core.data.census import census
    from fer_core.data.sources import DataSource

    try:
        source = DataSource(
            layout=layout, path=folder, split=split, population=population, subject_pattern=subject_pattern
        )
    except ValidationError as error:
        raise ConfigError("; ".join(_reason(problem["msg"]) for problem in error.errors())) from error
    with _bar("decoding") as progress:
        found = census(source, progress=progress)
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    else:
        _print_census(found)


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ")


def _print_census(found: Any) -> None:  # noqa: ANN401  a Census, whose module loads OpenCV
    populations = ", ".join(sorted({row.population or "population unknown" for row in found.rows}))
    click.echo(f"{found.path}: layout {found.layout}, {populations}{', synthetic' if found.synthetic else ''}")
    table = Table()
    table.add_column("class")
    for row in found.rows:
        table.add_column(row.group or "no group", justify="right")
    table.add_column("all", justify="right")
    for expression, total in found.by_class.items():
        table.add_row(expression, *(str(row.by_class[expression]) for row in found.rows), str(total))
    table.add_section()
    table.add_row("images", *(str(row.images) for row in found.rows), str(found.images))
    table.add_row("subjects", *(str(row.subjects or "?") for row in found.rows), str(found.subjects or "?"))
    Console().print(table)
    click.echo(f"{len(found.skipped)} file(s) skipped" + (":" if found.skipped else ""))
    for item in found.skipped:
        click.echo(f"  {item.path}: {item.reason}")


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on the terminal's error stream and yield the function that moves it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)

"""``fer-data``: the catalogue, check a data set, render the synthetic one. Exit codes: 0 done, 1 failed, 2 usage."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import click
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fer_core.data.sources import Cropping, DataSource, Layout
from fer_core.errors import ConfigError, FerError

_PLAIN_WIDTH = 160  # columns of a table that does not go to a terminal


_SOURCE = (
    click.option("--layout", type=click.Choice(get_args(Layout)), help="Which set it is. Default: recognised."),
    click.option("--split", default="all", show_default=True, help="Official split: train, validation, test or all."),
    click.option(
        "--population", type=click.Choice(["children", "adults", "all"]), help="Who is shown, if no age tells."
    ),
    click.option("--age-border", type=float, help="Under this age in years people are children.  [default: 13]"),
    click.option(
        "--ages", type=click.Path(path_type=Path), help="CSV with the columns name and age, for sets without."
    ),
    click.option("--subject-pattern", help="Regular expression with (?P<subject>...), searched in <label>/<name>."),
    click.option(
        "--pacific-islanders", type=click.Choice(["AS", "PI"]), help="Group of CAFE's code PI.  [default: AS]"
    ),
    click.option("--subset", type=click.Path(path_type=Path), help="Text file: CAFE photographs to keep, one a line."),
    click.option("--frame-rate", type=float, help="Frames a second to take from videos.  [default: 2]"),
    click.option("--column", "columns", multiple=True, metavar="NAME=COLUMN", help="How a table calls a column."),
)
"""The options that say how a folder is read."""


def _with_source_options[F: Callable[..., Any]](command: F) -> F:
    for option in reversed(_SOURCE):
        command = option(command)
    return command


_SIDE = click.IntRange(32, 320)
_CACHE = click.option(
    "--cache", default=".cache", show_default=True, help="Folder of decoded faces; a study's is beside its own."
)


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
    """Data sets: what is known, what you have, and a synthetic one."""


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
@click.argument("layout", required=False, metavar="[SET]", type=click.Choice(get_args(Layout)))
@click.option("--json", "as_json", is_flag=True, help="Print the cards as JSON.")
def catalog(layout: Layout | None, *, as_json: bool) -> None:
    """List the known data sets, or tell everything about one SET: licence, access, layout, labels, counts, citation.

    Example: fer-data catalog raf-db
    """
    from fer_core.data.catalog import card
    from fer_core.data.catalog import catalog as all_cards
    from fer_core.data.showing import card_page, cards_table

    cards = all_cards() if layout is None else (card(layout),)
    if as_json:
        told = [about.model_dump(mode="json") for about in cards]
        click.echo(json.dumps(told if layout is None else told[0], indent=2))
    else:
        _print(cards_table(cards) if layout is None else card_page(cards[0]))


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@_with_source_options
@click.option("--contact-sheet", type=click.Path(path_type=Path, dir_okay=False), help="Also write a PNG of faces.")
@click.option("--i-may-look", is_flag=True, help="The set's terms let me look; the contact sheet stays with me.")
@click.option("--json", "as_json", is_flag=True, help="Print the census as JSON.")
def check(folder: Path, *, contact_sheet: Path | None, i_may_look: bool, as_json: bool, **options: Any) -> None:  # noqa: ANN401
    """Tell which set FOLDER holds, whether it is complete, whom it shows, and what cannot be used and why.

    Example: fer-data check ~/downloads/KDEF
    """
    from fer_core.data.census import census
    from fer_core.data.sheet import check_may_show
    from fer_core.data.sheet import contact_sheet as draw
    from fer_core.data.showing import census_page

    source = _source(folder, options)
    if contact_sheet is not None:
        check_may_show(source, i_may_look=i_may_look)
    with _bar("decoding") as progress:
        found = census(source, progress=progress)
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    else:
        _print(*census_page(found))
    if contact_sheet is not None:
        drawn = draw(source, contact_sheet, i_may_look=i_may_look)
        click.echo(f"{contact_sheet}: {drawn} faces drawn; keep the picture to yourself", err=True)


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@_with_source_options
@click.option("--faces", type=click.Choice(get_args(Cropping)), help="How faces are cut out.  [default: suits the set]")
@click.option("--size", "sizes", multiple=True, type=_SIDE, default=(96,), show_default=True, help="Side in pixels.")
@_CACHE
@click.option(
    "--mirror", metavar="URL", help="Fetch what this URL has (s3://, gs://, file://...), copy the rest to it."
)
@click.option("--processes", type=click.IntRange(min=1), help="Default: one a core.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def prepare(
    folder: Path,
    *,
    sizes: tuple[int, ...],
    cache: str,
    mirror: str | None,
    processes: int | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Decode the faces in FOLDER, or all that a study's TOML file names, into the cache, and report what is left out.

    A run that was killed is finished by the next, with the same bytes. Images that repeat another one, or one that
    judges, are named. --size may be given several times.

    Example: fer-data prepare ~/downloads/KDEF --size 96
    """
    from fer_core.data.preparing import Sets, prepare_sets, read_sets
    from fer_core.data.showing import preparation_page

    sets = read_sets(folder) if folder.suffix == ".toml" else Sets(training=(_source(folder, options),))
    for size in sizes:
        with _bars() as progress:
            found = prepare_sets(sets, size, Path(cache), processes=processes, mirror=mirror, progress=progress)
        if as_json:
            click.echo(found.model_dump_json(indent=2))
        else:
            _print(*preparation_page(found))


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@_with_source_options
@click.option("--size", type=_SIDE, default=96, show_default=True, help="Side of the cached faces in pixels.")
@_CACHE
@click.option("--plot", "file", type=click.Path(path_type=Path, dir_okay=False), help="Also draw a PNG, SVG or HTML.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def stats(folder: Path, *, size: int, cache: str, file: Path | None, as_json: bool, **options: Any) -> None:  # noqa: ANN401
    """Count the faces in FOLDER, or those that a study's TOML file trains on: by class, group, age and split.

    Duplicates are left out, as in a training. What is not in the cache yet is prepared first.

    Example: fer-data stats ~/downloads/KDEF --plot kdef.html
    """
    from fer_core.data.loading import load_faces
    from fer_core.data.plots import plot, statistics
    from fer_core.data.preparing import Sets, read_sets
    from fer_core.data.showing import statistics_page

    sets = read_sets(folder) if folder.suffix == ".toml" else Sets(training=(_source(folder, options),))
    with _bar("decoding") as progress:
        judges = [sets.evaluation] if sets.evaluation else []
        found = statistics(load_faces(sets.training, size, Path(cache), apart_from=judges, progress=progress))
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    else:
        _print(*statistics_page(found))
    if file is not None:
        plot(found, folder.name, file)
        click.echo(f"{file}: drawn", err=True)


def _source(folder: Path, options: dict[str, Any]) -> DataSource:
    """Make a source of *folder* from the options of a command, recognising its layout where none is given."""
    given = {key: value for key, value in options.items() if value not in {None, ()}}
    if "columns" in given:
        given["columns"] = dict(_pair(text) for text in given["columns"])
    if "layout" not in given:
        from fer_core.data.recognise import recognise

        verdict = recognise(folder)
        given |= {"layout": verdict.layout}
        where = f"{folder}: recognised as {verdict.layout} (has: {'; '.join(verdict.found)})"
        click.echo(where if verdict.folder == folder else f"{where}, in {verdict.folder}", err=True)
        folder = verdict.folder
    try:
        return DataSource(path=folder, **given)
    except ValidationError as error:
        raise ConfigError("; ".join(_problem(problem) for problem in error.errors())) from error


def _pair(text: str) -> tuple[str, str]:
    name, _, column = text.partition("=")
    if not name or not column:
        raise ConfigError(f"--column {text!r} is not NAME=COLUMN, like expression=label")
    return name, column


def _problem(problem: Any) -> str:  # noqa: ANN401  pydantic's ErrorDetails
    where = ".".join(map(str, problem["loc"]))
    reason = _reason(problem["msg"])
    return f"{where}: {reason}" if where and where not in reason else reason


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ")


def _print(*parts: Any) -> None:  # noqa: ANN401  whatever rich can show
    console = Console()
    wide = Console(width=None if console.is_terminal else _PLAIN_WIDTH)
    for part in parts:
        wide.print(part, highlight=False)


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on the terminal's error stream and yield the function that moves it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _bars() -> Iterator[Callable[[DataSource], Callable[[int, int], None]]]:
    """Show one bar a source, with its speed, on the terminal's error stream; yield what makes the next one."""
    speed = TextColumn("{task.speed:,.0f} images/s", table_column=None)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), speed)
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:

        def begin(source: DataSource) -> Callable[[int, int], None]:
            task = bar.add_task(source.path.name, total=None)
            return lambda done, total: bar.update(task, completed=done, total=total)

        yield begin

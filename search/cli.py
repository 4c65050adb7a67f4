"""``fer-search``: start studies, go on with them, ask them for their front, hand their models over.

Reading commands answer from the ledger alone, also while a run is going on, and load neither torch
nor Ray nor Optuna. Answers go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 failed,
2 wrong usage or configuration, 3 nothing to show yet, 130 interrupted.
"""

import functools
import json
import logging
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console, RenderableType

from devicelab.errors import DeviceLabError
from fer_core.data.sources import DataSource
from fer_core.errors import FerError
from search.errors import NothingToShow, SearchError
from search.folder import StudyFolder
from search.options import faces_options, json_option, studies_option, trials_option
from search.record import StudyRecord

PLAIN_WIDTH = 200
"""Columns of a table that does not go to a terminal: wide enough that nothing is cut."""
WATCH_SECONDS = 1.0
"""Between two looks of ``status --watch`` and ``track --follow`` at the ledger."""


class Commands(click.Group):
    """A group that turns the rooms' errors into one line instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (SearchError, FerError, DeviceLabError) as error:
            click.echo(f"{ctx.info_name}: {' '.join(str(error).split())}", err=True)
            usage = type(error).__name__ == "ConfigError"
            raise click.exceptions.Exit(getattr(error, "exit_code", 2 if usage else 1)) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fer-search")
def cli() -> None:
    """Search for facial-expression classifiers that fit on a cheap phone."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


def main() -> None:
    """Run ``fer-search``."""
    cli()


@cli.command()
@click.argument("study_toml", type=click.Path(path_type=Path))
@studies_option
@trials_option
def run(study_toml: Path, studies: Path | None, trials: int | None) -> None:
    """Start the study that STUDY_TOML describes; Ctrl-C leaves it resumable."""
    from search.config import StudyConfig

    config = StudyConfig.load(study_toml)
    config.check_paths(study_toml)
    _drive(StudyFolder.create(config, study_toml, studies, trials=trials))


@cli.command()
@click.argument("study_toml", type=click.Path(path_type=Path))
@studies_option
@click.option("--like", metavar="STUDY", help="Take the times of stages from the ledger of this study.")
@click.option("--cores", type=click.IntRange(min=1), help="Cores, or accelerators, at work; default: of this machine.")
@json_option
def plan(*, study_toml: Path, studies: Path | None, like: str | None, cores: int | None, as_json: bool) -> None:
    """Tell what the study that STUDY_TOML describes will take, before it takes anything.

    The size of its space, which share of it keeps the constraints, compute, phones, disk and time, each with what it
    rests on; training is measured here for some seconds. Example: fer-search plan examples/demo.toml
    """
    from search.config import StudyConfig
    from search.plans import as_text, plan_of

    config = StudyConfig.load(study_toml)
    config.check_paths(study_toml)
    found = plan_of(config, like=_record(StudyFolder.find(like, studies)) if like else None, cores=cores)
    _answer(found.model_dump_json(indent=2) if as_json else as_text(found))


@cli.command()
@click.argument("study")
@studies_option
@trials_option
def resume(study: str, studies: Path | None, trials: int | None) -> None:
    """Go on with STUDY after Ctrl-C, a crash or a kill; --trials extends it."""
    folder = StudyFolder.find(study, studies, trials=trials)
    folder.config.check_paths(folder.config_path)
    _drive(folder)


@cli.command()
@click.argument("study")
@studies_option
@click.option("--watch", is_flag=True, help="Go on telling until nobody runs it; Ctrl-C ends the watching only.")
@json_option
def status(*, study: str, studies: Path | None, watch: bool, as_json: bool) -> None:
    """Tell how STUDY is doing: its trials, how each ended and why, its budget, and what ended the last run.

    While it is run, from any process that sees its folder: the hypervolume so far, the stages that are at work, how
    many trials wait for a phone's answer, and about how long the rest of the budget takes. With --watch the same table
    as fer-search run shows; with --json too, a line of JSON per change. Example: fer-search status demo --watch
    """
    from search.ledger import is_being_written, utc_now
    from search.status import as_text, summary

    folder = StudyFolder.find(study, studies)

    def told(record: StudyRecord) -> dict[str, Any]:
        running = is_being_written(folder.ledger_path)
        return summary(record, being_written=running, now=utc_now(), stages=folder.stages())

    if watch:
        _watch(folder, (lambda record: click.echo(json.dumps(told(record)))) if as_json else None)
    if not (watch and as_json):
        found = told(_record(folder))
        _answer(json.dumps(found, indent=2) if as_json else as_text(found))


@cli.command()
@click.argument("study")
@studies_option
@click.option("--mlflow", metavar="URI", help="MLflow's tracking server, e.g. http://mlflow:5000.")
@click.option("--tensorboard", type=click.Path(path_type=Path), metavar="DIR", help="Folder of TensorBoard's logs.")
@click.option("--models", is_flag=True, help="Send the .tflite of every complete trial to MLflow too.")
@click.option("--follow", is_flag=True, help="Go on until nobody runs the study.")
def track(
    *, study: str, studies: Path | None, mlflow: str | None, tensorboard: Path | None, models: bool, follow: bool
) -> None:
    """Write STUDY into MLflow and TensorBoard: a run per trial, its numbers by epoch, and what it got.

    What is there already is left as it is, so this may be called at any time, also while the study is run, and again.
    Where neither is named, [tracking] in study.toml says it; with that, fer-search run does all this by itself.
    Example: fer-search track demo --tensorboard runs && tensorboard --logdir runs
    """
    from search.tracking import catch_up, chosen, keep_up, trackers

    folder = StudyFolder.find(study, studies)
    _record(folder)  # refused where nothing is recorded
    those = trackers(folder, chosen(folder.config, mlflow=mlflow, tensorboard=tensorboard or False, models=models))
    record = keep_up(folder, those, _pause()) if follow else catch_up(folder, those)
    click.echo(f"{study}: {len(record.trials)} trials in {', '.join(tracker.name for tracker in those)}")


@cli.command()
@click.argument("study")
@studies_option
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Answer in CSV.")
@click.option("--all", "everything", is_flag=True, help="All complete trials, not only the front.")
@click.option("--where", multiple=True, help='Only rows that meet this, e.g. "latency_ms<=60"; may be repeated.')
def front(
    *, study: str, studies: Path | None, as_json: bool, as_csv: bool, everything: bool, where: Sequence[str]
) -> None:
    """Show the trials of STUDY that no other trial beats, fastest first."""
    from search import tables
    from search.foresight import suspects
    from search.front import front_rows

    if as_json and as_csv:
        raise click.UsageError("choose --json or --csv")
    record = _record(StudyFolder.find(study, studies))
    rows = tables.matching(front_rows(record, everything=everything), where)
    if as_json or as_csv:
        click.echo(tables.as_json(rows) if as_json else tables.as_csv(rows), nl=as_json)
        return
    shown = "all complete trials" if everything else "front"
    title = f"{study}: {shown}, {len(rows)} of {len(record.complete)} complete trials"
    strange = [one.sentence for one in suspects(record) if one.trial in {row.trial for row in rows}]
    _answer(tables.as_table(rows, title, strange))


@cli.command()
@click.argument("study")
@click.argument("trial", type=click.IntRange(min=0))
@studies_option
@json_option
def show(study: str, trial: int, studies: Path | None, as_json: bool) -> None:
    """Show all that is known about TRIAL of STUDY: candidate, scores, measurement, provenance."""
    from search.exporting import trial_of
    from search.status import trial_facts, trial_text

    record = _record(StudyFolder.find(study, studies))
    found = trial_of(record, trial)
    _answer(json.dumps(trial_facts(record, found), indent=2) if as_json else trial_text(record, found))


@cli.command()
@click.argument("study")
@click.argument("trial", type=click.IntRange(min=0))
@click.argument("target", metavar="DIR", type=click.Path(path_type=Path))
@studies_option
def export(study: str, trial: int, target: Path, studies: Path | None) -> None:
    """Write TRIAL of STUDY into the new folder DIR: model.tflite, labels.txt, provenance.json."""
    from search.exporting import export as write

    folder = StudyFolder.find(study, studies)
    write(_record(folder), trial, target, folder.artifacts_path)
    click.echo(f"{target}: model.tflite, labels.txt, provenance.json")


@cli.command()
@click.argument("study")
@studies_option
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
def report(study: str, studies: Path | None, opened: bool) -> None:
    """Write the report page of STUDY, one file that works offline, and front.png beside it."""
    from search.report import write_report

    folder = StudyFolder.find(study, studies)
    write_report(_record(folder), folder.report_path)
    click.echo(folder.report_path)
    if opened:
        webbrowser.open(folder.report_path.resolve().as_uri())


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@faces_options(required=True)
@json_option
def score(*, model: Path, data: Path, layout: str, split: str, subject_pattern: str | None, as_json: bool) -> None:
    """Score the file MODEL (.tflite) on the faces in a folder, as a study does; F1 to the last digit."""
    from fer_core.data.loading import load_faces
    from fer_core.scoring import input_size_of
    from fer_core.scoring import score as score_faces
    from search.status import scores_table
    from search.tables import SYNTHETIC

    source = _source("score", data, layout, split, subject_pattern)
    with tempfile.TemporaryDirectory(prefix="fer-search-") as cache:
        faces = load_faces([source], input_size_of(model), Path(cache))
        card = score_faces(model, faces)
    if faces.skipped:
        click.echo(
            f"skipped {len(faces.skipped)} files, first {faces.skipped[0].path}: {faces.skipped[0].reason}", err=True
        )
    halves = {"search half": card.search, "report half": card.report, "whole": card.whole}
    if as_json:
        click.echo(card.model_dump_json(indent=2))
        return
    _answer(scores_table({name: scores for name, scores in halves.items() if scores}))
    for name, scores in halves.items():
        if scores:
            click.echo(f"macro-F1 of the {name}: {scores.macro_f1!r}")
    if card.synthetic:
        click.echo(SYNTHETIC)


@cli.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@faces_options(required=False)
@studies_option
@json_option
def compare(
    *,
    first: str,
    second: str,
    data: Path | None,
    layout: str,
    split: str,
    subject_pattern: str | None,
    studies: Path | None,
    as_json: bool,
) -> None:
    """Compare two models on the same faces: A minus B, with intervals over children and McNemar's p.

    A and B are each a .tflite, a folder that export wrote, or STUDY:TRIAL. Trials are judged by the faces of their
    study unless --data names others; two models that different faces judge are refused.

    Example: fer-search compare demo:19 demo:13
    """
    from search.comparing import as_text, contest, contestant

    source = None if data is None else _source("compare", data, layout, split, subject_pattern)
    found, synthetic = contest(*(contestant(text, source, studies) for text in (first, second)))
    if as_json:
        parts = {name: it.model_dump(mode="json") for name, it in found.items()}
        click.echo(json.dumps({"first": first, "second": second, "synthetic_faces": synthetic, **parts}, indent=2))
        return
    click.echo(as_text(first, second, found, synthetic=synthetic))


@cli.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("faces"),
    show_default=True,
    help="Folder that fer-data render wrote, or a TOML file with the [data] of a study.",
)
@click.option("--quick", is_flag=True, help="64 px, few epochs, from scratch: under 30 minutes on 2 cores.")
@click.option("--name", help="Name of the study; default paper, or paper-quick.")
@studies_option
def paper(*, data: Path, quick: bool, name: str | None, studies: Path | None) -> None:
    """Run the study of Banerjee et al. (2023) on your data and write its tables beside the published figures.

    Five networks for three populations, then the best one compressed in every way. Ctrl-C, then the same command
    again, goes on.

    Example: fer-data render faces && fer-search paper --quick --data faces
    """
    from search.paper.form import study_folder
    from search.paper.page import write

    folder = study_folder(name or ("paper-quick" if quick else "paper"), data, studies, quick=quick)
    folder.config.check_paths(folder.config_path)
    _drive(folder)
    click.echo(write(_record(folder), folder))


def _source(command: str, data: Path, layout: str, split: str, subject_pattern: str | None) -> DataSource:
    from search.toml import validated

    options = {"layout": layout, "path": data, "split": split, "subject_pattern": subject_pattern}
    return validated(DataSource, options, Path(command))


def _record(folder: StudyFolder) -> StudyRecord:
    from search.ledger import Ledger

    if not folder.ledger_path.exists():
        raise NothingToShow(
            f"{folder.path.name}: nothing is recorded yet; go on with: fer-search resume {folder.path.name}"
        )
    with Ledger.open(folder.ledger_path, readonly=True) as ledger:
        return ledger.record()


def _answer(what: str | RenderableType) -> None:
    if isinstance(what, str):
        click.echo(what)
        return
    console = Console()
    Console(width=None if console.is_terminal else PLAIN_WIDTH).print(what)


def _pause() -> Callable[[], object]:
    return functools.partial(threading.Event().wait, WATCH_SECONDS)


def _watch(folder: StudyFolder, show: Callable[[StudyRecord], None] | None) -> None:
    """Follow the study until nobody runs it, or until Ctrl-C; *show* takes the place of the live table."""
    from search.front import volume_of
    from search.progress import Progress
    from search.watching import follow

    _record(folder)  # refused where nothing is recorded
    try:
        if show is not None:
            follow(folder, show, _pause())
            return
        with Progress(volume_of, stages=folder.stages) as progress:
            follow(folder, progress.show, _pause())
    except KeyboardInterrupt:
        click.echo("", err=True)


def _drive(folder: StudyFolder) -> None:
    from search import tuning
    from search.front import volume_of
    from search.progress import Progress
    from search.tracking import beside

    folder.config.tracking.check_packages()
    name = folder.path.name
    say = functools.partial(click.echo, err=True)
    try:
        with Progress(volume_of, stages=folder.stages) as progress, beside(folder, progress.show, say) as show:
            reason = tuning.run(folder, on_change=show)
    except KeyboardInterrupt:
        reason = "interrupted"
    if reason == "interrupted":
        click.echo(f"interrupted; continue with: fer-search resume {name}", err=True)
        raise click.exceptions.Exit(130)
    click.echo(f"{name}: {reason}; see fer-search front {name}")


if __name__ == "__main__":
    main()

"""The report page: whole without a network, honest about its numbers, and never a face."""

import re

import pytest

from search.errors import NothingToShow
from search.ledger import Ledger
from search.plots import front_figure, hypervolume_figure, svg
from search.record import StudyRecord
from search.report import write_report
from search.tables import SIMULATED, SYNTHETIC


@pytest.fixture
def record(studied) -> StudyRecord:
    with Ledger.open(studied.ledger_path, readonly=True) as ledger:
        return ledger.record()


def without_groups(record: StudyRecord) -> StudyRecord:
    """The same study on faces of real people without groups, judged by F1 and latency on a phone."""
    trials = {}
    for number, trial in record.trials.items():
        outcome = trial.outcome
        if outcome and outcome.scorecard:
            halves = {
                name: getattr(outcome.scorecard, name).model_copy(
                    update={"groups": (), "gap": None, "gap_p": None, "gap_shrunk": None, "gap_interval": None}
                )
                for name in ("search", "report", "whole")
            }
            card = outcome.scorecard.model_copy(update={**halves, "synthetic": False, "subject_groups": ()})
            measured = outcome.measurement.model_copy(update={"source": "phone"})
            outcome = outcome.model_copy(update={"scorecard": card, "measurement": measured})
        trials[number] = trial.model_copy(update={"outcome": outcome})
    config = record.config.model_copy(update={"objectives": ("f1", "latency")})
    return record.model_copy(update={"trials": trials, "config": config})


def test_the_page_needs_nothing_else(record, tmp_path):
    page = tmp_path / "report.html"
    write_report(record, page)
    text = page.read_text()
    assert not re.search(r"""(src|href)=["'](?!#)""", text.replace('xlink:href="#', ""))
    assert "<script" not in text
    assert "<img" not in text
    assert (tmp_path / "front.png").is_file()


def test_ids_of_the_pictures_of_one_page_differ(record, tmp_path):
    write_report(record, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    pictures = text.split("<svg")[1:]
    clips = [set(re.findall(r'clipPath id="(\w+)"', picture)) for picture in pictures]
    assert not set.intersection(*clips)


def test_simulated_and_synthetic_stand_on_the_page_only_where_true(record, tmp_path):
    write_report(record, tmp_path / "report.html")
    assert all(note in (tmp_path / "report.html").read_text() for note in (SIMULATED, SYNTHETIC))
    write_report(without_groups(record), tmp_path / "real.html")
    real = (tmp_path / "real.html").read_text()
    assert "simulated" not in real.replace("simulated phones", "")
    assert SYNTHETIC not in real
    assert "<h2>Groups" not in real
    assert "<h2>The front" in real


def test_the_same_record_gives_the_same_page(record, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_report(record, tmp_path / name / "report.html")
    assert (tmp_path / "one" / "report.html").read_bytes() == (tmp_path / "two" / "report.html").read_bytes()
    assert (tmp_path / "one" / "front.png").read_bytes() == (tmp_path / "two" / "front.png").read_bytes()


def test_a_name_cannot_write_html(record, tmp_path):
    named = record.model_copy(update={"opened": record.opened.model_copy(update={"name": "<b>x</b>"})})
    write_report(named, tmp_path / "report.html")
    assert "<b>x</b>" not in (tmp_path / "report.html").read_text()


def test_nothing_to_show(record, tmp_path):
    empty = record.model_copy(update={"trials": {}, "told": ()})
    with pytest.raises(NothingToShow):
        write_report(empty, tmp_path / "report.html")
    assert list(tmp_path.glob("*.html")) == []


def test_pictures_of_nothing_are_pictures():
    assert svg(front_figure([], 120.0), "a").startswith("<svg")
    assert svg(hypervolume_figure([]), "b").startswith("<svg")

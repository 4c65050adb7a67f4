"""Progress: pure pictures of a record; lines per trial event where there is no terminal."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from search.budget import Spent
from search.ledger import Ledger, RunStarted, StudyOpened, TrialAsked, TrialReported, TrialTold, fold
from search.objectives import Outcome
from search.progress import Progress, counts, headline, lines, remaining_seconds, render
from search.space import Given, covering_design, suggest

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def history(config):
    """Opened; at minute 0 a run; trial 0 told at minute 2, trial 1 at minute 4; trial 2 in epoch 1."""
    params = covering_design(config)[0]
    candidate = suggest(Given(params), config)

    def at(minute):
        return NOON + timedelta(minutes=minute)

    return [
        StudyOpened(name="demo", config=config.model_dump(mode="json"), config_digest=config.digest, at=at(0)),
        RunStarted(pid=1, host="h", at=at(0)),
        *[TrialAsked(number=n, candidate=candidate, params=params, at=at(n)) for n in range(3)],
        TrialTold(
            number=0, outcome=Outcome(state="complete", values={"f1": 0.5, "gap": 0.02, "latency": 33.3}), at=at(2)
        ),
        TrialTold(number=1, outcome=Outcome(state="failed", reason="DivergedError: NaN"), at=at(4)),
        TrialReported(number=2, rung=1, values={"val_f1": 0.25}, at=at(4)),
    ]


def text_of(renderable):
    console = Console(file=io.StringIO(), width=140)
    console.print(renderable)
    return console.file.getvalue()


def test_the_live_view_tells_what_matters(history):
    text = text_of(render(fold(history), NOON + timedelta(minutes=5), hypervolume=0.125))
    assert "2/12 trials" in text
    assert "1 running  1 complete  1 failed" in text
    assert "best F1 50.0" in text
    assert "hypervolume 0.125" in text
    assert "elapsed 5:00" in text
    assert "about 19:00 left" in text  # 10 trials at 2 minutes each, 1 minute of which has passed
    assert "epoch 1/2" in text
    assert "val_f1 0.25" in text


def test_the_live_view_tells_where_trials_are_and_how_long_the_phones_are_waited_for(history):
    stages = {2: "train", 3: "measure", 4: "measure"}
    text = text_of(render(fold(history), NOON + timedelta(minutes=5), 0.125, stages))
    assert "2 measure  1 train  phone queue 2" in text
    assert "train, epoch 1/2" in text
    told = headline(fold(history), NOON + timedelta(minutes=5), 0.125, stages)
    assert told == ("2/12 trials; hypervolume 0.125; at work: 2 measure, 1 train; phone queue 2; about 19:00 left")


@pytest.mark.parametrize(
    ("budget", "left"),
    [
        ({}, 19 * 60),
        ({"wall_minutes": 8}, 3 * 60),  # of which five have passed
        ({"cpu_hours": 1}, 7 * 60),  # 1200 of 3600 s were spent on 2 trials: enough for 4 more, at 2 minutes each
        ({"gpu_hours": 1}, 19 * 60),  # none was spent
        ({"cpu_hours": 0.1}, -60),
    ],
)
def test_what_is_left_goes_by_the_part_of_the_budget_that_ends_first(history, budget, left):
    run = RunStarted(pid=1, host="h", at=NOON, budget={"trials": 12} | budget)
    spent = TrialReported(number=2, rung=2, values={}, spent=Spent(cpu_seconds=1200.0))
    record = fold([history[0], run, *history[2:], spent])
    assert remaining_seconds(record, NOON + timedelta(minutes=5)) == pytest.approx(left)


def test_before_the_first_trial_nothing_is_promised(history):
    record = fold(history[:2])
    assert remaining_seconds(record, NOON) is None
    assert "0/12 trials" in text_of(render(record, NOON))
    assert counts(record) == {"running": 0, "complete": 0, "stopped": 0, "infeasible": 0, "failed": 0}


def test_a_line_for_each_start_and_end(history):
    seen, record = [], None
    for length in range(1, len(history) + 1):
        before, record = record, fold(history[:length])
        seen += lines(before, record)
    assert [line.split(":")[0] for line in seen] == [
        "trial 0 started", "trial 1 started", "trial 2 started", "trial 0 complete", "trial 1 failed",
    ]  # fmt: skip
    assert seen[3] == "trial 0 complete: F1 50.0, shrunk gap 2.0, latency 33.3 ms (1/12)"
    assert seen[4] == "trial 1 failed: DivergedError: NaN (2/12)"


def test_without_a_terminal_lines_go_to_stderr(history, capsys):
    quiet = Console(file=io.StringIO())
    with Progress(lambda record: 0.25, quiet, clock=lambda: NOON, stages=lambda: {2: "train"}) as progress:
        progress.show(fold(history[:3]))
        progress.show(fold(history))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 6
    assert captured.err.splitlines()[-1].startswith("2/12 trials; hypervolume 0.250; at work: 1 train; phone queue 0;")


def test_on_a_terminal_the_picture_is_drawn(history):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=140)
    with Progress(lambda record: 0.5, console, clock=lambda: NOON) as progress:
        progress.show(fold(history))
    assert "hypervolume 0.500" in screen.getvalue()


def test_a_ledger_can_be_watched(studied):
    with Ledger.open(studied.ledger_path, readonly=True) as ledger:
        assert "3 complete" in text_of(render(ledger.record(), NOON))

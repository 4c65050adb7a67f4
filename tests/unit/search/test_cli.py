"""fer-search: the same rows in every form, clear errors, exit codes; on ledgers built by hand, without Ray."""

import csv
import io
import json
import subprocess
import sys
import types

import pytest
from click.testing import CliRunner

from fer_core.artifact import sha256_of
from search import tables
from search.budget import Spent, Stall
from search.cli import cli
from search.front import FrontRow
from search.ledger import Ledger, RunEnded, RunStarted, TrialReported


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_STUDIES", str(tmp_path / "studies"))
    return lambda *words: CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture
def exportable(make_study, outcomes, tmp_path):
    model = tmp_path / "kept.tflite"
    model.write_bytes(b"TFL3 and so on")
    artifact = outcomes[1].artifact.model_copy(update={"path": model, "digest": sha256_of(model)})
    outcomes[1] = outcomes[1].model_copy(update={"artifact": artifact})
    return make_study(outcomes)


def told(answer, code):
    assert answer.exit_code == code, answer.output
    assert answer.stderr.count("\n") == 1
    assert "Traceback" not in answer.output
    return answer.stderr


def test_front_gives_the_same_rows_in_every_form(studied, call):
    rows = json.loads(call("front", "demo", "--json").stdout)
    again = list(csv.DictReader(io.StringIO(call("front", "demo", "--csv").stdout)))
    assert list(rows[0]) == list(again[0]) == list(FrontRow.model_fields)
    for row, line in zip(rows, again, strict=True):
        for key, value in row.items():
            shown = line[key]
            assert (shown == "") if value is None else (shown == value or json.loads(shown) == value)
    table = call("front", "demo").stdout
    shown = [line.split()[:3] for line in table.splitlines() if line[:8].strip().isdigit()]
    assert shown == [[str(row["trial"]), f"{100 * row['f1']:.1f}", f"{100 * row['report_f1']:.1f}"] for row in rows]
    assert table.count("simulated") >= len(rows)
    assert tables.SIMULATED in table
    assert tables.SYNTHETIC in table
    assert all(f"Latency by {row['measured_on']}." in table for row in rows)


def test_front_of_everything_and_of_some(studied, call):
    def trials(*words):
        return [row["trial"] for row in json.loads(call("front", "demo", "--json", *words).stdout)]

    assert trials() == [0, 1]
    assert trials("--all") == [0, 1, 2]
    assert trials("--all", "--where", "latency_ms>=90", "--where", "f1 < 0.6") == [2]
    assert trials("--where", "source==phone") == []
    assert trials("--where", "source == 'simulated'") == [0, 1]
    assert "unknown key 'speed'" in told(call("front", "demo", "--where", "speed<3"), 2)
    assert "KEY OPERATOR VALUE" in told(call("front", "demo", "--where", "latency_ms"), 2)
    assert call("front", "demo", "--json", "--csv").exit_code == 2


def test_nothing_to_show_yet(make_study, outcomes, call):
    make_study(outcomes[3:])
    for command in ("front", "report"):
        assert "no trial is complete yet" in told(call(command, "demo"), 3)


def test_status(studied, call):
    found = json.loads(call("status", "demo", "--json").stdout)
    assert found["state"] == "interrupted"
    assert found["trials"] == {"running": 1, "complete": 3, "stopped": 1, "infeasible": 1, "failed": 1}
    assert found["ended"][4]["result"] == "DivergedError: the loss became NaN in epoch 1"
    text = call("status", "demo").stdout
    assert "6 of 12 trials ended" in text
    assert "continue with: fer-search resume demo" in text
    assert "latency 190 ms is over the bound" in text


def test_status_tells_what_ended_a_study_and_how_to_go_on(studied, call):
    with Ledger.open(studied.ledger_path) as ledger:
        budget = studied.config.budget.model_copy(update={"cpu_hours": 0.5, "stall": Stall(trials=3)})
        ledger.append(RunStarted(pid=2, host="here", budget=budget.model_dump()))
        ledger.append(
            TrialReported(number=6, rung=2, values={"val_f1": 0.4}, spent=Spent(cpu_seconds=1800.0, gpu_seconds=36.0))
        )
        ledger.append(RunEnded(reason="CPU-hours are spent: 0.5 of 0.5", spent="cpu_hours"))
    found = json.loads(call("status", "demo", "--json").stdout)
    assert (found["state"], found["ended_by"], found["spent"]["cpu_seconds"]) == ("out of budget", "cpu_hours", 1800.0)
    text = call("status", "demo").stdout
    assert "budget: 12 trials, 0.5 CPU-hours (0.5 spent), until 3 trials bring no more than 1 % of hypervolume" in text
    assert "ended: CPU-hours are spent: 0.5 of 0.5" in text
    assert "raise budget.cpu_hours in the study's own study.toml" in text


def test_status_of_a_study_that_is_being_run(studied, call):
    studied.notes_path.mkdir()
    (studied.notes_path / "6").write_text("measure 1440\n")
    with Ledger.open(studied.ledger_path):
        found = json.loads(call("status", "demo", "--json").stdout)
        text = call("status", "demo").stdout
    assert (found["state"], found["stages"], found["phone_queue"]) == ("running", {"measure": 1}, 1)
    assert found["running"][0]["stage"] == "measure"
    assert f"hypervolume {found['hypervolume']:.3f}; at work: 1 measure; phone queue 1; about " in text
    later = json.loads(call("status", "demo", "--json").stdout)
    assert (later["state"], later["stages"], later["phone_queue"]) == ("interrupted", {}, 0), "a note of a killed run"


def test_watching_ends_with_the_run_and_tells_what_status_tells(studied, call, monkeypatch):
    answer = call("status", "demo", "--watch")
    assert "trial 1 complete: " in answer.stderr
    assert answer.stdout == call("status", "demo").stdout
    rows = [json.loads(line) for line in call("status", "demo", "--watch", "--json").stdout.splitlines()]
    assert [row["state"] for row in rows] == ["interrupted"]

    def ctrl_c(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("search.watching.follow", ctrl_c)
    answer = call("status", "demo", "--watch")
    assert answer.exit_code == 0
    assert "6 of 12 trials ended" in answer.stdout


@pytest.mark.parametrize("trial", range(7))
def test_show_tells_what_json_tells(studied, call, trial):
    facts = json.loads(call("show", "demo", trial, "--json").stdout)
    text = call("show", "demo", trial).stdout
    assert facts["trial"] == trial
    assert facts["state"] in text
    assert facts["reason"] in text
    if facts["state"] == "complete":
        assert f"{100 * facts['scores']['report']['macro_f1']:.1f}" in text
        assert facts["digests"]["artifact"] in text
        assert tables.SIMULATED in text


def test_an_unknown_trial_or_study(studied, call):
    assert "demo: no trial 99; its trials are 0 to 6" in told(call("show", "demo", 99), 1)
    assert "no study 'other'" in told(call("status", "other"), 1)
    assert "no study 'other'" in told(call("resume", "other"), 1)


def test_export_hands_the_file_over_with_its_provenance(exportable, call, tmp_path):
    target = tmp_path / "new" / "out"
    assert call("export", "demo", 1, target).exit_code == 0
    assert sorted(path.name for path in target.iterdir()) == ["labels.txt", "model.tflite", "provenance.json"]
    assert (target / "model.tflite").read_bytes() == b"TFL3 and so on"
    assert (target / "labels.txt").read_text().split()[3] == "happiness"
    provenance = json.loads((target / "provenance.json").read_text())
    row = json.loads(call("front", "demo", "--json", "--where", "trial==1").stdout)[0]
    assert provenance["scores"]["search"]["macro_f1"] == row["f1"]
    assert provenance["measurement"]["source"] == "simulated"
    assert provenance["artifact"]["digest"] == sha256_of(target / "model.tflite")
    assert provenance["notes"] == [tables.SIMULATED, tables.SYNTHETIC]
    assert list(target.parent.iterdir()) == [target]


def test_export_loses_nothing(exportable, call, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("keep me")
    assert "is there and not empty" in told(call("export", "demo", 1, full), 1)
    assert [path.name for path in full.iterdir()] == ["mine.txt"]
    assert "trial 4 is failed: DivergedError" in told(call("export", "demo", 4, tmp_path / "o"), 1)
    assert "the file of trial 0 is gone" in told(call("export", "demo", 0, tmp_path / "o"), 1)
    (tmp_path / "kept.tflite").write_bytes(b"altered")
    assert "the file of trial 1 was altered" in told(call("export", "demo", 1, tmp_path / "o"), 1)
    assert not (tmp_path / "o").exists()


def test_report(studied, call):
    assert call("report", "demo").exit_code == 0
    page = studied.report_path.read_text()
    assert page.count("<svg") == 3
    assert tables.SIMULATED in page
    assert tables.SYNTHETIC in page
    assert "DivergedError" in page
    assert "http" not in page.replace("http://www.w3.org/", "")  # only the names of SVG's vocabulary
    assert (studied.path / "front.png").read_bytes().startswith(b"\x89PNG")


def test_a_damaged_ledger_is_one_line(studied, call):
    studied.ledger_path.write_bytes(b"nonsense " * 500)
    assert "cannot be used as the ledger of a study" in told(call("front", "demo"), 1)


def test_run_refuses_a_bad_study_before_anything_is_written(study_file, call, tmp_path):
    assert "data.evaluation.path" in told(call("run", study_file), 2)
    assert "no such file" in told(call("run", tmp_path / "none.toml"), 2)
    assert not (tmp_path / "studies").exists()


@pytest.fixture
def driven(study_file, tmp_path, monkeypatch):
    """A stand-in for the driver, which notes the folder it was given and ends as it is told."""
    for name in ("cafe", "children", "adults"):
        (tmp_path / "faces" / name).mkdir(parents=True)
    stand_in = types.ModuleType("search.tuning")
    stand_in.seen = []

    def run(folder, *, on_change):
        stand_in.seen.append(folder)
        if isinstance(stand_in.reason, BaseException):
            raise stand_in.reason
        return stand_in.reason

    stand_in.run = run
    monkeypatch.setitem(sys.modules, "search.tuning", stand_in)
    monkeypatch.setattr("search.tuning", stand_in, raising=False)
    return stand_in


def test_run_hands_the_folder_to_the_driver(driven, study_file, call):
    driven.reason = "finished"
    answer = call("run", study_file, "--trials", 5)
    assert answer.exit_code == 0, answer.output
    assert driven.seen[0].config.budget.trials == 5
    assert "fer-search front demo" in answer.stdout


@pytest.mark.parametrize("reason", ["interrupted", KeyboardInterrupt()], ids=["told", "raised"])
def test_an_interrupted_run_says_how_to_go_on(driven, study_file, call, reason):
    driven.reason = reason
    answer = call("run", study_file)
    assert answer.exit_code == 130
    assert answer.stderr.endswith("interrupted; continue with: fer-search resume demo\n")


def test_resume_takes_another_budget(driven, studied, call):
    driven.reason = "finished"
    text = studied.config_path.read_text()
    studied.config_path.write_text(text.replace("trials = 12", "trials = 14"))
    assert call("resume", "demo").exit_code == 0
    assert driven.seen[0].config.budget.trials == 14
    assert call("resume", "demo", "--trials", 30).exit_code == 0
    assert driven.seen[1].config.budget.trials == 30


def test_score_tells_bad_input_in_one_line(call, tmp_path):
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(b"not a model")
    assert "bad.tflite" in told(call("score", bad, "--data", tmp_path), 1)
    assert "none.tflite" in told(call("score", tmp_path / "none.tflite", "--data", tmp_path), 1)
    assert "subject_pattern" in told(
        call("score", bad, "--data", tmp_path, "--layout", "folders", "--subject-pattern", "("), 2
    )


def test_reading_commands_load_nothing_heavy(studied, tmp_path):
    script = (
        "import sys; from click.testing import CliRunner; from search.cli import cli\n"
        "for words in (['status', 'demo'], ['show', 'demo', '0'], ['front', 'demo', '--json']):\n"
        f"    assert CliRunner().invoke(cli, [*words, '--studies', {str(tmp_path / 'studies')!r}]).exit_code == 0\n"
        "print(*[n for n in ('torch', 'ray', 'optuna', 'tensorflow', 'matplotlib') if n in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == ""

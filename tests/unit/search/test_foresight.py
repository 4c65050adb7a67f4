"""What a study learns about latency: from its ledger alone, for those that may skip, for those that read fronts."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from workloads import measured, workloads

from devicelab.measurement import Workload
from devicelab.operators import Operator
from search.cli import cli
from search.config import StudyConfig
from search.folder import StudyFolder
from search.foresight import Foresight, Notebook, Notes, distinct, examples_of, implausible, suspects
from search.ledger import Ledger, TrialReported
from search.objectives import Outcome
from search.prediction import FEWEST, Example
from search.record import Report, StudyRecord
from search.space import Given, covering_design, suggest

COUNT = 40


@pytest.fixture
def examples() -> list[Example]:
    return measured(workloads(COUNT))


@pytest.fixture
def record(studied: StudyFolder) -> StudyRecord:
    with Ledger.open(studied.ledger_path, readonly=True) as ledger:
        return ledger.record()


def report(example: Example, rung: int = 0) -> Report:
    return Report(rung=rung, values={"latency_ms": example.median_ms, "size_mb": 1.0}, features=example.features)


def taught(record: StudyRecord, examples: list[Example]) -> StudyRecord:
    """Give *record* a trial for each of *examples*."""
    pattern = record.trials[0]
    trials = {
        number: pattern.model_copy(update={"number": number, "reports": (report(example), *pattern.reports)})
        for number, example in enumerate(examples)
    }
    return record.model_copy(update={"trials": trials})


def test_only_measured_graphs_teach_and_each_once(record: StudyRecord, examples: list[Example]) -> None:
    assert examples_of(record) == {}
    found = examples_of(taught(record, examples))
    assert list(found.values()) == examples
    assert len(distinct([*examples, examples[3]])) == COUNT


def test_workers_foresee_what_the_driver_wrote_down(
    tmp_path: Path, record: StudyRecord, examples: list[Example]
) -> None:
    path = tmp_path / "latencies.jsonl"
    notebook = Notebook(path, taught(record, examples[: FEWEST - 1]))
    foresight = Foresight(path, bound=50.0)
    assert foresight.forecast(examples[-1].features) is None, "too few"
    notebook.add(Report(rung=1, values={"val_f1": 0.5}))
    notebook.add(report(examples[FEWEST - 1]))
    found = foresight.forecast(examples[-1].features)
    assert found.learnt == FEWEST
    assert found.low_ms < examples[-1].median_ms < found.high_ms
    with path.open("a") as stream:
        stream.write('{"features": [1.0')  # being written
    assert foresight.forecast(examples[-1].features) == found
    with path.open("a") as stream:
        stream.write("]}\n")  # of another version, as it turns out
        stream.write(f"{examples[FEWEST].model_dump_json()}\n")
    assert foresight.forecast(examples[-1].features).learnt == FEWEST + 1
    assert Foresight(path, bound=None).forecast(examples[-1].features) is None
    assert Foresight(tmp_path / "nowhere", bound=50.0).forecast(examples[-1].features) is None


def test_a_notebook_is_read_on_from_where_it_was_read_to(
    tmp_path: Path, record: StudyRecord, examples: list[Example]
) -> None:
    path = tmp_path / "latencies.jsonl"
    notebook, notes = Notebook(path, record), Notes(path)
    assert not notes.read(), "empty"
    for example in examples[:3]:
        notebook.add(report(example))
    assert notes.read()
    path.write_bytes(b"x" * path.stat().st_size)  # what was read is not read again
    assert not notes.read()
    again = examples[1].model_copy(update={"median_ms": 7.0})
    for example in (again, examples[3]):
        notebook.add(report(example))
    assert notes.read()
    assert notes.examples == distinct([*examples[:3], again, examples[3]])
    Notebook(path, taught(record, examples[:1]))
    assert notes.read()
    assert notes.examples == examples[:1], "begun anew"


def test_a_graph_is_described_by_what_a_phone_will_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = SimpleNamespace(operators=(Operator("CONV_2D", "convolution", 2_000_000, 0, 0, 0),))
    monkeypatch.setattr("devicelab.graph.read_graph", lambda _path: graph)
    described = Foresight(tmp_path / "x", None).describe(Workload(path=tmp_path / "m", fingerprint="f", threads=2))
    assert described == (0, 0, 2.0, 0, 0, 0, 0, 0, 0, 1.0, 2.0)


@pytest.mark.parametrize("factor", [1.6, 1 / 1.6])
def test_a_reading_that_does_not_go_with_the_others_is_flagged(
    record: StudyRecord, examples: list[Example], factor: float
) -> None:
    assert suspects(taught(record, examples)) == ()
    right = examples[7].median_ms
    examples[7] = examples[7].model_copy(update={"median_ms": right * factor})
    (found,) = suspects(taught(record, [*examples, examples[7]]))
    assert found.trial == 7
    assert found.expected_ms == pytest.approx(right, rel=0.1)
    assert "39 other graphs" in found.sentence
    assert implausible(examples[: FEWEST - 1]) == []


def test_front_and_status_warn_of_an_implausible_reading(
    make_study: Callable[..., StudyFolder], outcomes: list[Outcome], examples: list[Example]
) -> None:
    folder = make_study(outcomes[:1], running=COUNT)
    examples[1] = examples[1].model_copy(update={"median_ms": examples[1].median_ms * 2})
    with Ledger.open(folder.ledger_path) as ledger:
        for number, example in enumerate(examples, start=1):
            ledger.append(
                TrialReported(number=number, rung=0, values=report(example).values, features=example.features)
            )
    ask = ["--studies", str(folder.path.parent)]
    told = json.loads(CliRunner().invoke(cli, ["status", "demo", "--json", *ask]).stdout)["implausible"]
    assert [one["trial"] for one in told] == [2]
    assert "trial 2:" in CliRunner().invoke(cli, ["status", "demo", *ask]).stdout
    table = CliRunner().invoke(cli, ["front", "demo", *ask]).stdout
    assert "implausible" not in table, "trial 2 is not on the front"


def test_a_study_of_old_reads_as_before(config: StudyConfig) -> None:
    old = TrialReported.model_validate({"number": 0, "rung": 0, "values": {"latency_ms": 3.0}})
    assert old.features == ()
    assert suggest(Given(covering_design(config)[0]), config).digest

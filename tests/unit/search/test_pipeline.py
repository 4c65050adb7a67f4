"""The journey: its order, its four endings, and whose fault is whose. Stages are fake, the story is real."""

import math
from collections.abc import Generator
from contextlib import closing, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from devicelab.errors import DeviceError, WorkloadError
from devicelab.measurement import Measurement, Workload
from fer_core.artifact import Artifact
from fer_core.errors import ConversionError, DivergedError
from fer_core.scores import Scorecard
from search.candidate import Candidate
from search.config import StudyConfig
from search.errors import StageTimeoutError
from search.objectives import Constraint, Forecast, Outcome
from search.pipeline import Stopwatch, check_numbers, journey, objective_values
from search.record import Report
from search.space import Given, covering_design, suggest

BOUNDS = Constraint(latency_ms=100, size_mb=5)


class Bench:
    """Stages that note when they are called. ``graphs`` are the fingerprints of draft and export."""

    def __init__(self, folder: Path, complete: Outcome, *, latency: float = 50.0, size: int = 1_000_000) -> None:
        self.calls: list[str] = []
        self.graphs = ["graph", "graph"]
        self.raises: dict[str, Exception] = {}
        self.closed = self.background = False
        self._folder, self._complete, self._latency, self._size = folder, complete, latency, size

    def _note(self, stage: str) -> None:
        self.calls.append(stage)
        if stage in self.raises:
            raise self.raises[stage]

    def _artifact(self, stage: str, graph: str) -> Artifact:
        self._note(stage)
        path = self._folder / f"{stage}.tflite"
        path.write_text(graph)
        return Artifact(path=path, digest=stage, size=self._size, input_size=48, quantization="float32")

    def draft(self, *_: object) -> Artifact:
        return self._artifact("draft", self.graphs[0])

    def measure(self, workload: Workload, *, background: bool = False) -> Measurement:
        self._note("measure")
        self.background = background
        slower = 10.0 if workload.fingerprint != "graph" else 0.0
        return self._complete.measurement.model_copy(
            update={"median_ms": self._latency + slower, "fingerprint": workload.fingerprint}
        )

    def train(self, _: Candidate) -> Generator[SimpleNamespace]:
        try:
            for epoch in (1, 2):
                self._note("train")
                yield SimpleNamespace(epoch=epoch, epochs=2, val_f1=0.1 * epoch, val_accuracy=0.2, train_loss=1.5)
        finally:
            self.closed = True

    def export(self, _: Candidate) -> Artifact:
        return self._artifact("export", self.graphs[1])

    def score(self, _: Artifact) -> Scorecard:
        self._note("score")
        return self._complete.scorecard


@pytest.fixture(autouse=True)
def _graphs_are_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devicelab.graph.read_graph", lambda path: SimpleNamespace(fingerprint=path.read_text()))


@pytest.fixture
def candidate(config: StudyConfig) -> Candidate:
    return suggest(Given(covering_design(config)[0]), config)


@pytest.fixture
def bench(tmp_path: Path, outcomes: list[Outcome]) -> Bench:
    return Bench(tmp_path, outcomes[0])


def test_a_candidate_that_goes_all_the_way(candidate: Candidate, bench: Bench) -> None:
    *reports, outcome = journey(candidate, bench, BOUNDS)
    assert bench.calls == ["draft", "measure", "train", "train", "export", "score"]
    assert [report.rung for report in reports] == [0, 1, 2]
    assert reports[0].values == {"latency_ms": 50.0, "size_mb": 1.0}
    assert reports[2].values["val_f1"] == 0.2
    assert outcome.state == "complete"
    assert outcome.values == {
        "f1": outcome.scorecard.search.macro_f1,
        "gap": outcome.scorecard.search.gap_shrunk,
        "latency": 50.0,
    }
    assert outcome.provenance["candidate"] == candidate.digest
    assert outcome.provenance["evaluation_data"] == outcome.scorecard.data_digest
    assert {"code", "version", "seed", "torch", "artifact"} <= outcome.provenance.keys()
    assert outcome.stage_seconds.keys() == {"draft", "measure", "train", "export", "score"}


@pytest.mark.parametrize(
    ("got", "broken"),
    [
        ((130.0, 1_000_000), {"latency_ms": 30.0}),
        ((50.0, 7_000_000), {"size_mb": 2.0}),
        ((130.0, 7_000_000), {"latency_ms": 30.0, "size_mb": 2.0}),
    ],
)
def test_what_is_over_a_bound_ends_before_any_training(
    candidate: Candidate, tmp_path: Path, outcomes: list[Outcome], got: tuple[float, int], broken: dict[str, float]
) -> None:
    latency, size = got
    bench = Bench(tmp_path, outcomes[0], latency=latency, size=size)
    _, outcome = journey(candidate, bench, BOUNDS)
    assert bench.calls == ["draft", "measure"]
    assert outcome.state == "infeasible"
    assert outcome.violations == broken
    assert all(key in outcome.reason for key in broken)
    assert outcome.values == {"latency": latency}


def test_a_bound_is_kept_by_what_just_meets_it(candidate: Candidate, tmp_path: Path, outcomes: list[Outcome]) -> None:
    bench = Bench(tmp_path, outcomes[0], latency=100.0, size=5_000_000)
    assert list(journey(candidate, bench, BOUNDS))[-1].state == "complete"


def test_a_graph_that_training_changed_is_measured_again(candidate: Candidate, bench: Bench) -> None:
    bench.graphs = ["graph", "another graph"]
    outcome = list(journey(candidate, bench, BOUNDS))[-1]
    assert bench.calls.count("measure") == 2
    assert outcome.values["latency"] == 60.0
    assert outcome.measurement.fingerprint == "another graph"


def test_a_graph_that_training_changed_may_break_a_bound(
    candidate: Candidate, tmp_path: Path, outcomes: list[Outcome]
) -> None:
    bench = Bench(tmp_path, outcomes[0], latency=95.0)
    bench.graphs = ["graph", "another graph"]
    outcome = list(journey(candidate, bench, BOUNDS))[-1]
    assert (outcome.state, outcome.violations) == ("infeasible", {"latency_ms": 5.0})
    assert "score" not in bench.calls


@pytest.mark.parametrize(
    ("stage", "error"),
    [
        ("draft", ConversionError("no such operator:\n  FancyOp")),
        ("measure", WorkloadError("out of memory")),
        ("train", DivergedError("the loss became NaN")),
        ("export", ConversionError("gone")),
    ],
)
def test_the_candidates_fault_is_an_outcome_with_a_reason(
    candidate: Candidate, bench: Bench, stage: str, error: Exception
) -> None:
    bench.raises[stage] = error
    outcome = list(journey(candidate, bench, BOUNDS))[-1]
    assert outcome.state == "failed"
    assert outcome.reason == f"{type(error).__name__}: {' '.join(str(error).split())}"
    assert outcome.provenance["candidate"] == candidate.digest
    assert outcome.blames == "candidate"
    assert stage in outcome.stage_seconds


@pytest.mark.parametrize("stage", ["draft", "train", "export", "score"])
def test_a_stage_that_takes_too_long_is_the_candidates_fault(candidate: Candidate, bench: Bench, stage: str) -> None:
    bench.raises[stage] = StageTimeoutError(stage, 2)
    outcome = list(journey(candidate, bench, BOUNDS))[-1]
    assert (outcome.state, outcome.blames) == ("failed", "candidate")
    told = f"StageTimeoutError: {stage} took more than 2 minutes (limits.{stage} in study.toml)"
    assert outcome.reason == told


def test_a_phone_that_does_not_answer_is_a_phones_fault(candidate: Candidate, bench: Bench) -> None:
    bench.raises["measure"] = StageTimeoutError("measure", 2)
    with pytest.raises(DeviceError, match="no phone answered: measure took more than 2 minutes"):
        list(journey(candidate, bench, BOUNDS))


def test_every_stage_is_guarded_each_epoch_by_itself(candidate: Candidate, bench: Bench) -> None:
    guarded: list[str] = []
    list(journey(candidate, bench, BOUNDS, lambda stage: nullcontext(guarded.append(stage))))
    assert guarded == ["draft", "measure", "train", "train", "train", "export", "measure", "score"]


@pytest.mark.parametrize(
    ("step", "party"),
    [
        (Report(rung=0, values={"latency_ms": math.nan}), DeviceError),
        (Outcome(state="complete", values={"f1": 0.5, "latency": math.inf}), DeviceError),
        (Report(rung=3, values={"val_f1": math.nan}), DivergedError),
        (Outcome(state="complete", values={"f1": math.nan, "latency": 1.0}), DivergedError),
    ],
)
def test_what_is_no_number_is_somebodys_fault(step: Report | Outcome, party: type[Exception]) -> None:
    with pytest.raises(party, match=r"(nan|inf)"):
        check_numbers(step)
    check_numbers(Report(rung=0, values={"latency_ms": 3.0}))


@pytest.mark.parametrize("error", [DeviceError("too hot"), ZeroDivisionError(), OSError("disk")])
def test_what_is_not_the_candidates_fault_is_raised(candidate: Candidate, bench: Bench, error: Exception) -> None:
    bench.raises["measure"] = error
    with pytest.raises(type(error)):
        list(journey(candidate, bench, BOUNDS))


def test_a_journey_that_is_left_stops_its_training(candidate: Candidate, bench: Bench) -> None:
    with closing(journey(candidate, bench, BOUNDS)) as steps:
        for report in steps:
            if report.rung == 1:
                break
    assert bench.closed
    assert bench.calls == ["draft", "measure", "train"]


def test_a_set_too_small_to_be_split_is_judged_whole(outcomes: list[Outcome]) -> None:
    card, latency = outcomes[0].scorecard, outcomes[0].measurement
    small = card.model_copy(update={"search": None, "report": None})
    assert objective_values(small, latency)["f1"] == card.whole.macro_f1
    no_groups = small.model_copy(update={"whole": card.whole.model_copy(update={"gap_shrunk": None})})
    assert objective_values(no_groups, latency).keys() == {"f1", "latency"}


class Oracle:
    """Foresees the same of every graph."""

    def __init__(self, *milliseconds: float) -> None:
        low, median, high = milliseconds
        self.said = Forecast(median_ms=median, low_ms=low, high_ms=high, level=0.95, learnt=50)

    def describe(self, workload: Workload) -> tuple[float, ...]:
        return (1.0, float(workload.threads))

    def forecast(self, _features: tuple[float, ...]) -> Forecast:
        return self.said


def test_what_is_surely_over_the_bound_is_not_measured(candidate: Candidate, bench: Bench) -> None:
    oracle = Oracle(101.0, 140.0, 190.0)
    (outcome,) = journey(candidate, bench, BOUNDS, foresight=oracle)
    assert bench.calls == ["draft"]
    assert (outcome.state, outcome.violations, outcome.forecast) == ("infeasible", {"latency_ms": 40.0}, oracle.said)
    assert (outcome.values, outcome.measurement) == ({}, None)
    assert "140 [101, 190] is predicted from 50 measurements, over the bound of 100; not measured" in outcome.reason
    assert outcome.provenance["candidate"] == candidate.digest


@pytest.mark.parametrize(("expected", "background"), [((99.0, 140.0, 190.0), True), ((20.0, 100.0, 190.0), False)])
def test_what_is_probably_over_the_bound_lets_others_go_first(
    candidate: Candidate, bench: Bench, expected: tuple[float, ...], background: bool
) -> None:
    *reports, outcome = journey(candidate, bench, BOUNDS, foresight=Oracle(*expected))
    assert bench.background == background
    assert reports[0].features == (1.0, float(candidate.deployment.threads))
    assert (outcome.state, outcome.values["latency"]) == ("complete", 50.0), "only what is measured counts"


def test_without_a_bound_nothing_is_skipped(candidate: Candidate, bench: Bench) -> None:
    outcome = list(journey(candidate, bench, Constraint(), foresight=Oracle(1e3, 2e3, 3e3)))[-1]
    assert (outcome.state, bench.background) == ("complete", False)


def test_a_stopwatch_counts_what_a_stage_takes_and_not_what_follows() -> None:
    times = iter(range(1000))
    watch = Stopwatch(lambda: float(next(times)))

    def items() -> Generator[str]:
        yield "a"
        yield "b"

    for _ in watch.each("train", items()):
        next(times)
    with watch("score"):
        pass
    assert watch.seconds == {"train": 3.0, "score": 1.0}

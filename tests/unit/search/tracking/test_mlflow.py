"""Runs in a store of MLflow's own on the disk, read back by MLflow's client. A server speaks the same to the client."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from search.errors import TrackingError
from search.tracking.mlflow import MLflow
from search.tracking.page import STUDY, Page, Point

EPOCHS = tuple(Point("val_f1", 0.1 * epoch, epoch, 1000.0 + epoch) for epoch in (1, 2, 3))
OVERALL = Page(STUDY, "demo", "running", {"seed": 3}, {"state": "running"}, (), 900.0, None)
OPEN = Page("trial-7", "demo:7", "running", {"threads": 2}, {"state": "running"}, EPOCHS[:2], 1000.0, None)
WHOLE = replace(
    OPEN,
    state="complete",
    tags={"state": "complete", "simulated": "true"},
    points=(*EPOCHS, Point("final/f1", 0.625, 3, 1004.0)),
    ended=1004.0,
    final=True,
)


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return (tmp_path / "store").as_uri()


def runs(uri: str, study: str = "a") -> dict[str, SimpleNamespace]:
    """The runs of *study* by page, each with its settings, tags, status, times, and the history of each number."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("demo").experiment_id
    found = {}
    for run in client.search_runs([experiment], f"tags.`fer.study` = '{study}'"):
        page = run.data.tags["fer.page"]
        assert page not in found, "no run is there twice"
        found[page] = SimpleNamespace(
            id=run.info.run_id,
            status=run.info.status,
            times=(run.info.start_time, run.info.end_time),
            settings=run.data.params,
            tags=run.data.tags,
            history={
                name: [(one.step, one.value, one.timestamp) for one in client.get_metric_history(run.info.run_id, name)]
                for name in run.data.metrics
            },
        )
    return found


def test_a_run_for_the_study_and_below_it_one_for_each_trial(uri: str) -> None:
    place = MLflow(uri, "demo", "a")
    for page in (OVERALL, OPEN, OPEN, WHOLE, WHOLE):
        place.show(page)
    found = runs(uri)
    assert set(found) == {STUDY, "trial-7"}
    run = found["trial-7"]
    assert run.status == "FINISHED"
    assert run.times == (1_000_000, 1_004_000)
    assert run.settings == {"threads": "2"}
    assert run.history["val_f1"] == [(step, 0.1 * step, 1_000_000 + 1000 * step) for step in (1, 2, 3)]
    assert run.history["final/f1"] == [(3, 0.625, 1_004_000)]
    assert run.tags["mlflow.parentRunId"] == found[STUDY].id
    assert (run.tags["state"], run.tags["simulated"]) == ("complete", "true")
    assert found[STUDY].status == "RUNNING"


def test_another_process_goes_on_with_the_runs_that_are_there(uri: str) -> None:
    first, half = MLflow(uri, "demo", "a"), replace(WHOLE, ended=None, final=False)
    for page in (OVERALL, OPEN, replace(WHOLE, key="trial-8")):
        first.show(page)
    before = runs(uri)
    second = MLflow(uri, "demo", "a")
    for page in (OVERALL, half, WHOLE, replace(WHOLE, key="trial-8")):
        second.show(page)
    after = runs(uri)
    assert {page: run.id for page, run in after.items()} == {page: run.id for page, run in before.items()}
    assert after["trial-8"].history == before["trial-8"].history
    assert [step for step, *_ in after["trial-7"].history["val_f1"]] == [1, 2, 3]
    assert len(after["trial-7"].history["final/f1"]) == 1


def test_a_study_that_is_resumed_runs_again(uri: str) -> None:
    volumes = tuple(Point("hypervolume", 0.1 * count, count, 1000.0 + count) for count in (1, 2))
    MLflow(uri, "demo", "a").show(replace(OVERALL, state="interrupted", points=volumes[:1], ended=1001.0))
    assert runs(uri)[STUDY].status == "KILLED"
    place = MLflow(uri, "demo", "a")
    place.show(replace(OVERALL, points=volumes))
    assert runs(uri)[STUDY].status == "RUNNING"
    place.show(replace(OVERALL, state="finished", points=volumes, ended=1002.0))
    assert runs(uri)[STUDY].status == "FINISHED"
    assert [step for step, *_ in runs(uri)[STUDY].history["hypervolume"]] == [1, 2]


@pytest.mark.parametrize(("state", "status"), [("failed", "FAILED"), ("stopped", "KILLED"), ("infeasible", "FINISHED")])
def test_how_a_run_ends(uri: str, state: str, status: str) -> None:
    place = MLflow(uri, "demo", "a")
    place.show(OVERALL)
    place.show(replace(WHOLE, state=state))
    assert runs(uri)["trial-7"].status == status


def test_studies_of_one_name_are_told_apart(uri: str) -> None:
    for study in ("a", "b"):
        place = MLflow(uri, "demo", study)
        place.show(OVERALL)
        place.show(WHOLE)
    assert runs(uri, "a")["trial-7"].id != runs(uri, "b")["trial-7"].id


def test_more_than_a_request_holds(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.tracking.mlflow.MOST_METRICS", 4)
    monkeypatch.setattr("search.tracking.mlflow.MOST_ENTRIES", 3)
    many = tuple(Point(f"n{index}", index, 0, 1000.0) for index in range(9))
    settings = {f"s{index}": "x" * 9000 for index in range(7)}
    MLflow(uri, "demo", "a").show(replace(OVERALL, points=many, settings=settings, tags={"long": "y" * 9000}))
    run = runs(uri)[STUDY]
    assert len(run.history) == 9
    assert len(run.settings) == 7
    assert len(run.settings["s6"]) == len(run.tags["long"]) == 5000


def test_the_file_of_a_model_goes_there_too(uri: str, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    model = tmp_path / "model.tflite"
    model.write_bytes(b"TFL3 and so on")
    place = MLflow(uri, "demo", "a")
    place.show(OVERALL)
    place.show(replace(WHOLE, model=model))
    run = runs(uri)["trial-7"].id
    (found,) = MlflowClient(uri).list_artifacts(run)
    assert (found.path, found.file_size) == ("model.tflite", 14)


@pytest.fixture
def nowhere() -> Iterator[str]:
    """The address of a port at which nobody listens: taken, and never asked to listen."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_a_server_that_does_not_answer_is_a_typed_error(uri: str, nowhere: str) -> None:
    with pytest.raises(TrackingError, match=f"MLflow at {nowhere}: .*Max retries exceeded|refused"):
        MLflow(nowhere, "demo", "a").show(OVERALL)


def test_what_failed_is_asked_for_anew_and_caught_up(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    place = MLflow(uri, "demo", "a")
    place.show(OVERALL)
    with monkeypatch.context() as down:
        down.setattr(MlflowClient, "log_batch", _refuse)
        with pytest.raises(TrackingError, match="the connection was reset"):
            place.show(WHOLE)  # the run is made, and empty
    place.show(WHOLE)
    assert runs(uri)["trial-7"].history["val_f1"][0][0] == 1
    assert runs(uri)["trial-7"].settings == {"threads": "2"}


def _refuse(*_: object, **__: object) -> None:
    raise ConnectionResetError("the connection was reset")

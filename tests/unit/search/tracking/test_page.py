"""What is told about a study and a trial."""

import pytest

from search.config import SpaceConfig, TrainingSpace
from search.front import hypervolume_history, volume_of
from search.record import StudyRecord
from search.rows import row_of
from search.tracking.page import STUDY, settings_of, study_page, trial_page


def test_a_complete_trial(record: StudyRecord) -> None:
    trial = record.trials[0]
    page = trial_page(record, trial)
    row = row_of(trial, on_front=False, probability=0.0)
    told = {(point.name, point.step): point.value for point in page.points}
    assert told["val_f1", 1] == 0.3
    assert told["final/f1", 1] == row.f1
    assert told["final/f1_low", 1] == row.f1_low
    assert told["final/report_f1", 1] == row.report_f1
    assert told["final/gap_high", 1] == row.gap_high
    assert told["final/latency_high_ms", 1] == row.latency_high_ms
    assert told["objective/gap", 1] == trial.outcome.values["gap"]
    assert told["seconds/train", 1] == 10.0
    assert (page.key, page.title, page.state, page.final) == ("trial-0", "demo:0", "complete", True)
    assert page.ended == trial.told_at.timestamp() >= page.begun == trial.asked_at.timestamp()
    assert page.tags["simulated"] == page.tags["synthetic_faces"] == "true"
    assert page.tags["digest.data"] == "d" * 64
    assert page.tags["candidate_digest"] == trial.candidate.digest


def test_settings_have_the_names_of_study_toml(record: StudyRecord) -> None:
    candidate = record.trials[0].candidate
    found = settings_of(candidate)
    recipe = {f"training.{name}" for name in TrainingSpace.model_fields}
    assert ({*SpaceConfig.model_fields} - {"training"}) | recipe == set(found) - {"training.seed"}
    assert found["architecture"] == candidate.architecture.name
    assert found["training.learning_rate"] == candidate.training.learning_rate
    assert found["clusters"] == (candidate.compression.clusters or "none")


@pytest.mark.parametrize(("number", "state"), [(3, "infeasible"), (4, "failed"), (5, "stopped"), (6, "running")])
def test_a_trial_that_is_not_complete(record: StudyRecord, number: int, state: str) -> None:
    trial = record.trials[number]
    page = trial_page(record, trial)
    assert page.state == page.tags["state"] == state
    assert page.final is (state != "running")
    assert page.tags["simulated"] == "true", "also before anything is measured"
    assert page.tags.get("reason") == (trial.outcome.reason if trial.outcome else None)
    told = {point.name: point.value for point in page.points}
    assert ("violation/latency_ms" in told) == ("final/latency_ms" in told) == (state == "infeasible")


def test_the_study_s_own_page(record: StudyRecord) -> None:
    page = study_page(record, running=True)
    assert (page.key, page.state, page.ended, page.final) == (STUDY, "running", None, False)
    assert [(point.step, point.value) for point in page.points] == list(hypervolume_history(record))
    assert page.points[-1].value == volume_of(record)
    assert page.settings["space.training.epochs"] == 2.0
    assert not any(name.startswith("budget") for name in page.settings), "it may change"
    assert page.tags["budget.trials"] == "12"
    assert page.tags["trials.complete"] == "3"
    assert study_page(record, running=False).state == "interrupted"

"""The folder of a study: its copy of study.toml means the same from where it lies."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from search.cli import cli
from search.config import StudyConfig
from search.errors import StudyError
from search.folder import STUDIES_VARIABLE, StudyFolder, studies_root


def test_the_copy_means_the_same(config, study_file, tmp_path):
    folder = StudyFolder.create(config, study_file, tmp_path / "far" / "away")
    assert folder.config == StudyConfig.load(study_file)
    assert folder.config.digest == config.digest
    assert study_file.read_text() in folder.config_path.read_text()


def test_trials_take_the_place_of_the_budget(config, study_file, tmp_path):
    folder = StudyFolder.create(config, study_file, tmp_path / "studies", trials=40)
    assert folder.config.budget.trials == 40
    assert folder.config.digest == config.digest


def test_a_study_is_found_by_name(studied, tmp_path):
    assert StudyFolder.find("demo", tmp_path / "studies") == studied


def test_a_study_that_was_interrupted_before_its_first_trial_is_found(config, study_file, tmp_path):
    folder = StudyFolder.create(config, study_file, tmp_path / "studies")
    assert StudyFolder.find("demo", tmp_path / "studies") == folder
    answer = CliRunner().invoke(cli, ["status", "demo", "--studies", str(tmp_path / "studies")])
    assert answer.exit_code == 3
    assert "fer-search resume demo" in answer.output


def test_a_study_is_made_once(studied, config, study_file, tmp_path):
    with pytest.raises(StudyError, match=r"this study exists in .*; go on with fer-search resume demo"):
        StudyFolder.create(config, study_file, tmp_path / "studies")


def test_who_is_not_there_is_told_who_is(studied, tmp_path):
    with pytest.raises(StudyError, match=r"no study 'dmeo' in .*; studies there: demo"):
        StudyFolder.find("dmeo", tmp_path / "studies")
    with pytest.raises(StudyError, match="it holds no study"):
        StudyFolder.find("demo", tmp_path / "nowhere")


def test_the_root_is_given_or_in_the_environment_or_here(monkeypatch):
    monkeypatch.delenv(STUDIES_VARIABLE, raising=False)
    assert studies_root() == Path("studies")
    monkeypatch.setenv(STUDIES_VARIABLE, "/elsewhere")
    assert studies_root() == Path("/elsewhere")
    assert studies_root(Path("mine")) == Path("mine")

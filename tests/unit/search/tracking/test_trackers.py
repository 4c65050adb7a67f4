"""[tracking] in study.toml, and what is refused before anything starts."""

from pathlib import Path

import pytest

from search.config import StudyConfig
from search.errors import ConfigError
from search.trackers import TrackingConfig
from search.tracking import chosen


def read(study_file: Path, text: str) -> StudyConfig:
    study_file.write_text(f"{study_file.read_text()}\n[tracking]\n{text}\n")
    return StudyConfig.load(study_file)


def test_nobody_is_told_unless_asked(config: StudyConfig) -> None:
    assert not config.tracking.wanted
    with pytest.raises(ConfigError, match="say where to: --mlflow URI"):
        chosen(config, mlflow=None, tensorboard=False, models=False)


def test_tracking_belongs_to_no_study_s_meaning(config: StudyConfig, study_file: Path) -> None:
    found = read(study_file, 'mlflow = "http://mlflow:5000"\ntensorboard = "runs"')
    assert found.digest == config.digest
    assert found.tracking.wanted
    assert found.tracking.tensorboard == study_file.parent / "runs", "relative to the file"
    assert chosen(found, mlflow=None, tensorboard=False, models=True) == found.tracking
    assert chosen(found, mlflow="http://other", tensorboard=False, models=True).mlflow == "http://other"


def test_true_means_the_study_s_own_folder(study_file: Path) -> None:
    assert read(study_file, "tensorboard = true").tracking.tensorboard is True


def test_a_password_is_refused_since_the_file_is_read_by_others(study_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"tracking\.mlflow: a password has no place here; set MLFLOW_TRACKING_USER"):
        read(study_file, 'mlflow = "http://ann:secret@mlflow:5000"')


@pytest.mark.parametrize(("key", "package"), [("mlflow", "mlflow-skinny"), ("tensorboard", "tensorboardX")])
def test_a_missing_package_is_told_before_the_search(key: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.trackers.find_spec", lambda _name: None)
    wanted = TrackingConfig.model_validate({key: "somewhere"})
    with pytest.raises(ConfigError, match=rf"tracking\.{key}: needs {package}, .* pip install {package}"):
        wanted.check_packages()
    TrackingConfig().check_packages()

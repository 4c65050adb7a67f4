"""Where a study's latencies come from: a lab of its own, or a lab's service, checked before anything starts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from devicelab.errors import AccessError, ConfigError, ServiceError
from devicelab.measurement import Workload
from search.config import LabConfigChoice, StudyConfig
from search.folder import StudyFolder
from search.tuning import latency
from search.tuning.latency import LabService, check_lab, lab_config, lab_open, measuring


@pytest.fixture
def remote(config: StudyConfig) -> StudyConfig:
    return config.model_copy(update={"lab": LabConfigChoice(url="http://127.0.0.1:9")})


class Client:
    """Stands for ``LabClient``: keeps what it was asked."""

    asked: list[Any] = []

    def __init__(self, url: str, token: str, **_: float) -> None:
        self.asked.append((url, token))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.asked.append("closed")

    def measure(self, workload: Workload, *, search: str, background: bool = False) -> Any:
        self.asked.append((workload.threads, search, background))
        return 7.0


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Client]]:
    monkeypatch.setattr(latency, "LabClient", Client)
    Client.asked = []
    return Client


def test_a_study_with_a_lab_of_its_own_needs_no_service(config: StudyConfig) -> None:
    check_lab(config)
    assert len(lab_config(config).devices) == 2
    broken = config.model_copy(update={"lab": LabConfigChoice(config=Path("nowhere.toml"))})
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read"):
        check_lab(broken)


def test_a_service_is_checked_before_the_start(remote: StudyConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FER_LAB_TOKEN", raising=False)
    with pytest.raises(AccessError, match="set FER_LAB_TOKEN"):
        check_lab(remote)
    monkeypatch.setenv("FER_LAB_TOKEN", "x")
    monkeypatch.setattr(latency, "CHECK_SECONDS", 0.01)
    with pytest.raises(ServiceError, match="has not answered"):
        check_lab(remote)


def test_workers_ask_the_service_in_the_studys_name(
    remote: StudyConfig, client: type[Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_LAB_TOKEN", "secret")
    with lab_open(remote, StudyFolder(tmp_path), "unused") as place:
        assert isinstance(place, LabService)
        assert "secret" not in repr(place)
        with measuring(place) as measure:
            workload = Workload(path=tmp_path / "m", fingerprint="f", threads=4)
            assert measure(workload) == measure(workload, background=True) == 7.0
    asked = [(4, remote.name, False), (4, remote.name, True)]
    assert client.asked == [("http://127.0.0.1:9", "secret"), *asked, "closed"]


def test_the_token_may_lie_in_a_file(remote: StudyConfig, client: type[Client], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    lab = LabConfigChoice(url="http://lab", token_file=tmp_path / "token")
    with lab_open(remote.model_copy(update={"lab": lab}), StudyFolder(tmp_path), "unused") as place:
        assert place == LabService("http://lab", "from-file", remote.name)
    assert not client.asked

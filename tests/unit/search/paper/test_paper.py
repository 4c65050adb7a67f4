"""fer-search paper: the study it writes, what it claims and what it shows; on a ledger filled by hand, without Ray."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

from devicelab.measurement import Measurement
from fer_core import statistics
from fer_core.artifact import Artifact, sha256_of
from fer_core.data.faces import FaceSet
from fer_core.scores import Scorecard
from search import cli
from search.comparing import Judged
from search.errors import ConfigError, StudyError
from search.ledger import Ledger
from search.objectives import Outcome
from search.paper import evidence as asking
from search.paper.form import study_folder, study_text
from search.paper.page import write
from search.paper.published import published
from search.record import StudyOpened
from search.study import Study
from search.tables import SIMULATED, SYNTHETIC

SKILL = {"children": 0.6, "adults": 0.4, "all": 0.75}
SUBJECTS = 60


def faces():
    labels = np.tile(np.arange(7), SUBJECTS)
    who = np.repeat([f"s{index:03}" for index in range(SUBJECTS)], 7)
    return FaceSet(
        images=np.zeros((len(labels), 64, 64, 3), dtype=np.uint8),
        labels=labels,
        subjects=who,
        groups=np.where(np.arange(len(labels)) // 7 % 2, "AA", "EA"),
        populations=np.full(len(labels), "children"),
        mouth_open=np.full(len(labels), -1, dtype=np.int8),
        digest="d",
        synthetic=True,
    )


def predictions(number, candidate):
    rng = np.random.default_rng(number)
    labels = faces().labels
    skill = SKILL[candidate.training.population] + 0.01 * (candidate.architecture.name == "mobilenetv2_100")
    return np.where(rng.random(len(labels)) < skill, labels, (labels + 1) % 7)


def outcome(number, candidate, artifacts):
    shown = faces()
    found = predictions(number, candidate)
    whole = statistics.scores_from(
        statistics.subject_confusions(shown.labels, found, shown.subjects)[1],
        statistics.subject_groups(shown.subjects, shown.groups),
        draws=50,
    )
    path = artifacts / f"{number}.tflite"
    path.write_bytes(b"x" * (1000 if candidate.compression.quantization == "float32" else 250))
    card = Scorecard(
        model_digest="m",
        data_digest="d",
        synthetic=True,
        search=whole,
        report=whole,
        whole=whole,
        subject_confusions=statistics.pack_counts(np.zeros((1, 7, 7), dtype=np.int64)),
    )
    latency = {"mobilenetv2_100": 5.0, "mobilenetv3_large_100": 8.0}.get(candidate.architecture.name, 6.0)
    measured = Measurement(
        median_ms=latency,
        low_ms=latency - 0.1,
        high_ms=latency + 0.1,
        p90_ms=latency,
        first_ms=latency,
        runs=10,
        fingerprint="f",
        threads=4,
        device="sim-1",
        product="Moto G6",
        os_build="9.0",
        runtime="simulated",
        protocol="test",
        source="simulated",
        readings=(),
        blocks=2,
        phone_seconds=1.0,
        measured_at=0.0,
    )
    return Outcome(
        state="complete",
        values={"f1": whole.macro_f1, "latency": latency},
        scorecard=card,
        measurement=measured,
        artifact=Artifact(path=path, digest=sha256_of(path), size=1000, input_size=64, quantization="float32"),
    )


@pytest.fixture(name="data")
def _data(tmp_path):
    for part in ("cafe", "children", "adults"):
        (tmp_path / "faces" / part).mkdir(parents=True)
    return tmp_path / "faces"


@pytest.fixture(name="fill")
def _fill(monkeypatch):
    """Return a function that runs the study in a folder, up to a number of trials, without Ray."""
    known = {}

    def judged(who, _cache):
        return Judged(who.name, faces(), known[who.name])

    def fill(folder, trials=1000):
        opened = StudyOpened(
            name=folder.config.name, config=folder.config.model_dump(mode="json"), config_digest=folder.config.digest
        )
        with Ledger.create(folder.ledger_path, opened) as ledger:
            study = Study(folder.config, ledger)
            while not study.finished and trials:
                question = study.ask()
                known[f"{folder.config.name}:{question.number}"] = predictions(question.number, question.candidate)
                study.tell(question.number, outcome(question.number, question.candidate, folder.artifacts_path))
                trials -= 1

    monkeypatch.setattr(asking, "judged", judged)
    monkeypatch.setattr(asking, "read_file", lambda _: type("File", (), {"tensors": ()}))
    return fill


def test_the_command_goes_through_the_plan_and_writes_the_pages(data, fill, tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "_drive", fill)
    words = ["paper", "--quick", "--data", str(data), "--studies", str(tmp_path / "studies")]
    answer = CliRunner().invoke(cli.cli, words)
    assert answer.exit_code == 0, answer.output
    target = tmp_path / "studies" / "paper-quick" / "paper"
    assert answer.stdout.strip() == str(target / "paper.html")
    names = {"claims.csv", "networks.csv", "populations.csv", "compression.csv", "groups.csv"}
    assert {path.name for path in target.iterdir()} == names | {
        "paper.html",
        "paper.md",
        "paper.json",
        "populations.png",
    }
    told = json.loads((target / "paper.json").read_text())
    assert len(told["models"]) == 22
    best = told["models"][told["best"]]
    assert best["scores"]["search"]["macro_f1"] == max(m["scores"]["search"]["macro_f1"] for m in told["models"][:15])
    verdicts = {claim["claim"]: claim for claim in told["claims"]}
    first = verdicts["MobileNetV3-Large 1.0 trained on children beats trained on adults, on children (macro-F1)"]
    assert (first["published"], first["verdict"]) == ("+7.19 points", "resolved, as published")
    small = next(claim for claim in told["claims"] if "does not fit on the phone" in claim["claim"])
    assert small["verdict"] == "not resolved"
    assert sum("changes macro-F1" in claim for claim in verdicts) == 7


def test_every_page_and_table_says_what_its_numbers_are_of(data, fill, tmp_path):
    folder = study_folder("p", data, tmp_path / "studies", quick=True)
    fill(folder)
    with Ledger.open(folder.ledger_path, readonly=True) as ledger:
        page = write(ledger.record(), folder)
    for text in (page.read_text(), page.with_name("paper.md").read_text()):
        assert SYNTHETIC in text
        assert SIMULATED in text
        assert text.count("synthetic faces, no people; latency simulated") == 5
    assert json.loads(page.with_name("paper.json").read_text())["notes"][:2] == [SYNTHETIC, SIMULATED]
    for path in page.parent.glob("*.csv"):
        rows = list(csv.DictReader(path.read_text().splitlines()))
        assert rows
        assert all(row["note"] == "(synthetic faces, no people; latency simulated)" for row in rows)


def test_half_a_study_is_shown_as_far_as_it_is(data, fill, tmp_path):
    folder = study_folder("p", data, tmp_path / "studies", quick=True)
    fill(folder, trials=2)
    with Ledger.open(folder.ledger_path, readonly=True) as ledger:
        page = write(ledger.record(), folder)
    verdicts = {claim["verdict"] for claim in json.loads(page.with_name("paper.json").read_text())["claims"]}
    assert "cannot be asked here" in verdicts


def test_a_file_that_scores_otherwise_than_recorded_is_refused(data, fill, tmp_path, monkeypatch):
    folder = study_folder("p", data, tmp_path / "studies", quick=True)
    fill(folder, trials=3)
    monkeypatch.setattr(asking, "judged", lambda who, _: Judged(who.name, faces(), faces().labels))
    with (
        Ledger.open(folder.ledger_path, readonly=True) as ledger,
        pytest.raises(StudyError, match="the faces or the runtime changed"),
    ):
        write(ledger.record(), folder)


def test_the_same_command_goes_on_and_other_data_are_refused(data, fill, tmp_path):
    studies = tmp_path / "studies"
    folder = study_folder("p", data, studies, quick=True)
    fill(folder, trials=1)
    assert study_folder("p", data, studies, quick=True).path == folder.path
    with pytest.raises(StudyError, match="choose another --name"):
        study_folder("p", data, studies, quick=False)


def test_data_may_be_a_table_of_a_study(data, tmp_path):
    table = tmp_path / "data.toml"
    table.write_text(
        '[data]\nevaluation = { layout = "cafe", path = "cafe" }\n'
        '[[data.training]]\nlayout = "ddcf"\npath = "d"\n[[data.training]]\nlayout = "kdef"\npath = "k"\n'
    )
    folder = study_folder("real", table, tmp_path / "studies", quick=False)
    assert [source.path for source in folder.config.data.training] == [tmp_path / "d", tmp_path / "k"]
    assert folder.config.space.weights == "imagenet"
    table.write_text("[data]\n")
    with pytest.raises(ConfigError, match="needs evaluation and training"):
        study_text("x", table, quick=True)
    for nowhere in (tmp_path / "nowhere", tmp_path / "studies"):
        with pytest.raises(ConfigError, match="fer-data render"):
            study_text("x", nowhere, quick=True)


def test_published_figures_are_those_of_the_abstract():
    known = published()
    best = known.of("mobilenetv3_large_100", "all")
    assert (best.accuracy, best.f1, best.latency_ms) == (65.78, 65.31, 90)
    assert known.of("nasnet_mobile", "all") is None

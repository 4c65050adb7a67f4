"""A whole study by the command line: real networks, faces, conversions, simulated phones and Ray, in a minute."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from search.folder import StudyFolder
from search.ledger import Ledger
from search.prediction import Example

pytestmark = pytest.mark.slow

COMMAND = Path(sys.executable).with_name("fer-search")


def _search(root: Path, *arguments: str, code: int = 0) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [COMMAND, *arguments],
        cwd=root,
        env=environment | {"FER_STUDIES": str(root / "studies"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


def test_a_study_from_faces_to_an_exported_file_with_the_same_score(faces_folder: Path, tmp_path: Path) -> None:
    text = (faces_folder / "mini.toml").read_text()
    (tmp_path / "mini.toml").write_text(f'root = "{faces_folder}"\n{text}')
    assert "mini: finished" in _search(tmp_path, "run", "mini.toml")

    folder = StudyFolder(tmp_path / "studies" / "mini")
    with Ledger.open(folder.ledger_path, readonly=True) as ledger:
        record = ledger.record()
    outcomes = {number: trial.outcome for number, trial in record.trials.items()}
    assert {number: outcome.state for number, outcome in outcomes.items()} == dict.fromkeys(range(3), "complete")
    assert {t.candidate.compression.quantization for t in record.trials.values()} == {"float32", "int8"}
    assert outcomes[2].reason.startswith("duplicate of trial"), "the space holds two candidates"
    for outcome in outcomes.values():
        assert outcome.scorecard.data_digest == outcome.provenance["evaluation_data"]
        assert outcome.measurement.source == "simulated"
        assert (folder.artifacts_path / outcome.artifact.path).is_file()
    learnt = [Example.model_validate_json(line) for line in folder.latencies_path.read_text().splitlines()]
    assert sorted(one.median_ms for one in learnt) == sorted(
        outcomes[number].measurement.median_ms for number in (0, 1)
    )
    trained = [outcomes[number].stage_seconds["train"] for number in (0, 1)]
    assert min(trained) < max(trained)

    rows = json.loads(_search(tmp_path, "front", "mini", "--json"))
    assert rows

    _search(tmp_path, "export", "mini", "0", "exported")
    scored = json.loads(
        _search(tmp_path, "score", "exported/model.tflite", "--data", str(faces_folder / "faces/cafe"), "--json")
    )
    assert outcomes[0].scorecard.whole.macro_f1 in _numbers(scored)

    refused = _search(tmp_path, "run", "mini.toml", code=1)
    assert "this study exists" in refused
    assert "mini: finished" in _search(tmp_path, "resume", "mini")


def test_a_gap_without_groups_is_refused_before_the_start(faces_folder: Path, tmp_path: Path) -> None:
    text = (faces_folder / "mini.toml").read_text().replace('["f1", "latency"]', '["f1", "gap", "latency"]')
    (tmp_path / "mini.toml").write_text(f'root = "{faces_folder}"\n{text}')
    assert "'gap' needs two groups" in _search(tmp_path, "run", "mini.toml", code=2)
    assert not (tmp_path / "studies" / "mini" / "ledger.db").exists()


def _numbers(value: object) -> set[float]:
    if isinstance(value, dict):
        return set().union(*map(_numbers, value.values()))
    if isinstance(value, list):
        return set().union(*map(_numbers, value))
    return {float(value)} if isinstance(value, int | float) else set()

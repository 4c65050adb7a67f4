"""Hand a trial over: model.tflite, labels.txt, provenance.json in a folder that appears whole or not at all."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from fer_core.artifact import sha256_of
from fer_core.labels import EXPRESSIONS
from search.errors import StudyError
from search.record import StudyRecord, TrialRecord
from search.rows import row_of
from search.tables import caveats

INPUT = "float32 NHWC RGB, pixel / 127.5 - 1 (int8 by the file's own quantization parameters); output: 7 logits"


def trial_of(record: StudyRecord, number: int) -> TrialRecord:
    """Return trial *number* of *record*.

    Raises:
        StudyError: there is no such trial.
    """
    if number not in record.trials:
        last = f"its trials are 0 to {max(record.trials)}" if record.trials else "it has no trial yet"
        raise StudyError(f"{record.opened.name}: no trial {number}; {last}")
    return record.trials[number]


def provenance_of(record: StudyRecord, trial: TrialRecord) -> dict[str, Any]:
    """Return everything that is known about how *trial* came to its numbers, as JSON-ready values."""
    outcome = trial.outcome
    shown = (row_of(trial, on_front=False, probability=0.0),)
    return {
        "study": record.opened.name,
        "trial": trial.number,
        "candidate": trial.candidate.model_dump(mode="json"),
        "candidate_digest": trial.candidate.digest,
        "study_digest": record.opened.config_digest,
        "code_digest": record.opened.code_digest,
        "version": record.opened.version,
        "seed": record.config.seed,
        "digests": outcome.provenance if outcome else {},
        "input": INPUT,
        "labels": list(EXPRESSIONS),
        "values": outcome.values if outcome else {},
        "scores": outcome.scorecard.model_dump(mode="json") if outcome and outcome.scorecard else None,
        "measurement": outcome.measurement.model_dump(mode="json") if outcome and outcome.measurement else None,
        "artifact": outcome.artifact.model_dump(mode="json", exclude={"path"})
        if outcome and outcome.artifact
        else None,
        "notes": list(caveats(shown)),
    }


def model_of(record: StudyRecord, trial: TrialRecord, artifacts: Path) -> Path:
    """Return the .tflite of *trial*, intact. *artifacts* is where the study keeps its files.

    Raises:
        StudyError: the trial is not complete, or its .tflite is gone or altered.
    """
    outcome = trial.outcome
    if outcome is None or outcome.state != "complete" or outcome.artifact is None:
        reason = f": {outcome.reason}" if outcome and outcome.reason else ""
        raise StudyError(
            f"{record.opened.name}: trial {trial.number} is {trial.state}{reason}; only complete ones are exported"
        )
    model = outcome.artifact.path if outcome.artifact.path.is_absolute() else artifacts / outcome.artifact.path
    if not model.is_file() or sha256_of(model) != outcome.artifact.digest:
        what = "was altered" if model.is_file() else "is gone"
        raise StudyError(f"{model}: the file of trial {trial.number} {what}; resume the study to make it again")
    return model


def export(record: StudyRecord, number: int, target: Path, artifacts: Path) -> Path:
    """Write trial *number* into the folder *target* and return it. *artifacts* is where the study keeps its files.

    Raises:
        StudyError: no such trial, it is not complete, its .tflite is gone or altered, or *target* is not empty.
    """
    trial = trial_of(record, number)
    model = model_of(record, trial, artifacts)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StudyError(f"{target}: is there and not empty; name a new folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as beside:
            partial = Path(beside) / "export"
            partial.mkdir()
            shutil.copyfile(model, partial / "model.tflite")
            (partial / "labels.txt").write_text("\n".join(EXPRESSIONS) + "\n", encoding="utf-8")
            provenance = json.dumps(provenance_of(record, trial), indent=2)
            (partial / "provenance.json").write_text(provenance + "\n", encoding="utf-8")
            partial.replace(target)
    except OSError as error:
        raise StudyError(f"{target}: cannot be written: {error.strerror}") from None
    return target

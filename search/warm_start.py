"""What a study learns from another one before its first trial: ``[warm_start]`` in study.toml.

Children are like adults, adults like all: what was good for one population is a good guess for the next. The sampler
gets the other study's trials as a past that it did not have; they are no trials of this study, and never on its front.
They are copied when the study is opened, so that it goes on alike whatever becomes of the other.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from search.artifacts import write_atomically
from search.candidate import digest_of
from search.config import StudyConfig
from search.errors import ConfigError, StudyError
from search.folder import StudyFolder
from search.ledger import Ledger
from search.objectives import Outcome
from search.record import Inherited
from search.sampling import Told, thinned_told

MOST = 60
"""Trials that are taken over, the best of them and a sample of the others: soon outweighed by the study's own."""


def inherit(folder: StudyFolder) -> Inherited | None:
    """Copy what the study in *folder*, which is being opened, is to know; return what that is, if anything.

    Raises:
        ConfigError: the other study searched another space, or has no trial to learn from; or nobody would learn.
    """
    config = folder.config
    if config.warm_start is None:
        return None
    where = f"{folder.config_path}: warm_start.study"
    if config.sampler.name in {"random", "staged"}:
        raise ConfigError(f"{where}: sampler.name = {config.sampler.name!r} learns nothing; take tpe, nsga2 or gp")
    other = StudyFolder(config.warm_start.study)
    if not other.ledger_path.is_file():
        raise ConfigError(f"{where}: no study in {other.path}")
    with Ledger.open(other.ledger_path, readonly=True) as ledger:
        record = ledger.record()
    name = record.opened.name
    if keys := differing(config, record.config):
        raise ConfigError(
            f"{where}: {name} differs in {', '.join(keys)}; only a study of the same space, objectives and constraints "
            "can be learnt from (the population may be another)"
        )
    ended = (record.trials[number] for number in record.told)
    told = [
        Told(trial.params, _bare(trial.outcome))
        for trial in ended
        if trial.outcome and trial.outcome.state in {"complete", "infeasible"}
    ]
    if not told:
        raise ConfigError(
            f"{folder.config_path}: warm_start.study: {record.opened.name} has no trial to learn from yet"
        )
    rows = [
        {"params": dict(one.params), "outcome": one.outcome.model_dump(mode="json")}
        for one in thinned_told(told, config, MOST, np.random.default_rng(config.seed))
    ]
    write_atomically(folder.warm_start_path, json.dumps(rows).encode())
    return Inherited(study=name, trials=len(rows), digest=_digest(folder.warm_start_path))


def inherited(folder: StudyFolder, what: Inherited | None) -> tuple[Told, ...]:
    """Return the trials that were copied when the study in *folder* was opened; none where *what* is ``None``.

    Raises:
        StudyError: they are not there, or are others.
    """
    if what is None:
        return ()
    path = folder.warm_start_path
    if not path.is_file() or _digest(path) != what.digest:
        raise StudyError(
            f"{path}: gone or changed since the study was opened with {what.trials} trials of {what.study}; "
            "put it back, or start a study with another name"
        )
    rows = json.loads(path.read_text(encoding="utf-8"))
    return tuple(Told(row["params"], Outcome.model_validate(row["outcome"])) for row in rows)


def differing(mine: StudyConfig, other: StudyConfig) -> tuple[str, ...]:
    """Return the keys in which two studies do not ask, or judge, the same; one population for another is the same."""
    parts = {"space", "objectives", "constraints"}
    flat, flat_other = (dict(_flat(one.model_dump(mode="json", include=parts))) for one in (mine, other))
    if len(mine.space.population) == len(other.space.population) == 1:
        flat.pop("space.population")
        flat_other.pop("space.population")
    return tuple(key for key in sorted(flat | flat_other) if flat.get(key) != flat_other.get(key))


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _bare(outcome: Outcome) -> Outcome:
    return Outcome(state=outcome.state, values=outcome.values, violations=outcome.violations)


def _digest(path: Path) -> str:
    return digest_of(path.read_text(encoding="utf-8"))

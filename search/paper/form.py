"""The study.toml of the paper's study: the plan and a recipe from files beside this one, and the data given."""

import json
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from fer_core.data.synthetic.plan import SUBJECT_PATTERN
from search.config import StudyConfig
from search.errors import ConfigError, StudyError
from search.folder import StudyFolder, studies_root
from search.toml import read_toml, validated

_HERE = Path(__file__).parent
RENDERED = ("cafe", "children", "adults")
"""What ``fer-data render`` writes."""


def study_text(name: str, data: Path, *, quick: bool) -> str:
    """Return the text of the study.toml called *name* on *data*: a rendered folder, or a TOML file with ``[data]``.

    Raises:
        ConfigError: *data* is neither, or its ``[data]`` cannot be right.
    """
    recipe = (_HERE / ("quick.toml" if quick else "full.toml")).read_text(encoding="utf-8")
    plan = (_HERE / "study.toml").read_text(encoding="utf-8")
    if data.is_dir():
        root, table = data, _rendered(data)
    else:
        root, table = data.parent, _table(data)
    given = f"name = {json.dumps(name)}\nroot = {json.dumps(str(root.resolve()))}\n"
    text = f"{given}{plan}{recipe}\n{_toml(table)}"
    validated(StudyConfig, tomllib.loads(text), data)
    return text


def study_folder(name: str, data: Path, root: Path | None, *, quick: bool) -> StudyFolder:
    """Return the folder of the paper's study called *name* on *data*: the one that is there, or a new one.

    Raises:
        ConfigError: as for ``study_text``.
        StudyError: a study of this name exists and is another one.
    """
    text = study_text(name, data, quick=quick)
    with tempfile.TemporaryDirectory(prefix="fer-search-") as beside:
        source = Path(beside) / "study.toml"
        source.write_text(text, encoding="utf-8")
        config = StudyConfig.load(source)
        there = StudyFolder(studies_root(root).resolve() / name)
        if not there.ledger_path.exists():
            return StudyFolder.create(config, source, root)
    if there.config.digest != config.digest:
        raise StudyError(f"{there.path}: is a study of other data or another form; choose another --name")
    return there


def _rendered(folder: Path) -> dict[str, Any]:
    if missing := [part for part in RENDERED if not (folder / part).is_dir()]:
        raise ConfigError(
            f"{folder}: has no {', '.join(missing)}; render faces with `fer-data render {folder}`, "
            "or name a TOML file with the [data] of a study.toml"
        )
    training = [
        {"layout": "folders", "path": who, "population": who, "subject_pattern": SUBJECT_PATTERN}
        for who in RENDERED[1:]
    ]
    return {"evaluation": {"layout": "cafe", "path": "cafe"}, "training": training}


def _table(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(
            f"{path}: is not there; render faces with `fer-data render {path}`, "
            "or name a TOML file with the [data] of a study.toml"
        )
    found = read_toml(path).get("data")
    if not isinstance(found, dict) or not {"evaluation", "training"} <= set(found):
        raise ConfigError(f"{path}: data: needs evaluation and training, as in a study.toml (examples/cafe.toml)")
    return found


def _toml(table: dict[str, Any]) -> str:
    """Return the ``[data]`` of a study as TOML."""
    sources = "".join(f"\n[[data.training]]\n{_lines(source)}" for source in table["training"])
    return f"[data]\nevaluation = {_inline(table['evaluation'])}\n{sources}"


def _lines(source: dict[str, Any]) -> str:
    return "".join(f"{key} = {_inline(value)}\n" for key, value in source.items())


def _inline(value: object) -> str:
    """Return *value* as TOML on one line: JSON but for tables, whose ``:`` is ``=``."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_inline(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)

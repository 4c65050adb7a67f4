"""Where a study keeps its files: one folder per study, below one folder of studies."""

import json
import os
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from search.config import StudyConfig
from search.errors import StudyError

STUDIES_VARIABLE = "FER_STUDIES"
"""Environment variable that names the folder of studies; ``./studies`` where it is not set."""


def studies_root(given: Path | None = None) -> Path:
    """Return the folder of studies: *given*, else ``$FER_STUDIES``, else ``./studies``."""
    return given or Path(os.environ.get(STUDIES_VARIABLE) or "studies")


@dataclass(frozen=True)
class StudyFolder:
    """The folder of one study at ``path``, and the name of everything in it.

    ``trials``, where given, takes the place of ``budget.trials`` in ``config``.
    """

    path: Path
    trials: int | None = None

    @classmethod
    def create(
        cls, config: StudyConfig, source: Path, root: Path | None = None, *, trials: int | None = None
    ) -> "StudyFolder":
        """Make the folder of a new study and copy *source*, its study.toml, into it.

        The copy is the file word for word; where it does not set ``root``, a first line does, so that its relative
        paths go on meaning the same.

        Raises:
            StudyError: a study of this name exists.
        """
        folder = cls(studies_root(root).resolve() / config.name, trials)
        if folder.ledger_path.exists():
            raise StudyError(
                f"{config.name}: this study exists in {folder.path.parent}; "
                f"go on with fer-search resume {config.name}, or change name in {source}"
            )
        text = source.read_text(encoding="utf-8")
        if "root" not in tomllib.loads(text):
            text = f"root = {json.dumps(str(source.resolve().parent))}\n{text}"
        try:
            folder.artifacts_path.mkdir(parents=True, exist_ok=True)
            folder.config_path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise StudyError(f"{folder.path}: cannot be written: {error.strerror}") from None
        return folder

    @classmethod
    def find(cls, name: str, root: Path | None = None, *, trials: int | None = None) -> "StudyFolder":
        """Return the folder of the study called *name*.

        Raises:
            StudyError: there is none; the message names those that exist.
        """
        above = studies_root(root)
        folder = cls(above.resolve() / name, trials)
        if not folder.config_path.is_file():
            known = sorted(path.parent.name for path in above.glob("*/study.toml"))
            hint = f"studies there: {', '.join(known)}" if known else "it holds no study; start one with fer-search run"
            raise StudyError(f"no study {name!r} in {above}; {hint}")
        return folder

    @property
    def config_path(self) -> Path:
        """The copy of study.toml; its budget may be edited between runs."""
        return self.path / "study.toml"

    @cached_property
    def config(self) -> StudyConfig:
        """The study as ``config_path`` tells it, read once."""
        config = StudyConfig.load(self.config_path)
        if self.trials is None:
            return config
        return config.model_copy(update={"budget": config.budget.model_copy(update={"trials": self.trials})})

    @property
    def ledger_path(self) -> Path:
        """The ledger (``search.ledger``)."""
        return self.path / "ledger.db"

    @property
    def artifacts_path(self) -> Path:
        """The store of checkpoints and .tflite files."""
        return self.path / "artifacts"

    @property
    def lab_store(self) -> Path:
        """The store of the simulated lab (``devicelab.store``)."""
        return self.path / "lab.db"

    @property
    def notes_path(self) -> Path:
        """The folder of what each open trial is at, while a worker has it (``search.overseer``)."""
        return self.path / "notes"

    def stages(self) -> dict[int, str]:
        """Return the stage that each trial is in which a worker has right now, by number; none before its first.

        ``"waiting"`` where it waits for a turn, or for another trial that computes the same.
        """
        found = {}
        for note in self.notes_path.glob("[0-9]*"):
            with suppress(OSError, ValueError):
                stage, _, more = note.read_text(encoding="utf-8", errors="replace").partition("\n")[0].partition(" ")
                if stage:
                    found[int(note.name)] = "waiting" if more.endswith(" waiting") else stage
        return found

    @property
    def turns_path(self) -> Path:
        """The folder of the turns to compute, one folder a machine, while a driver runs (``search.turns``)."""
        return self.path / "turns"

    @property
    def warm_start_path(self) -> Path:
        """What was copied from another study when this one was opened (``search.warm_start``)."""
        return self.path / "warm_start.json"

    @property
    def latencies_path(self) -> Path:
        """What workers learn latencies from while a driver runs (``search.foresight``); the ledger has it all."""
        return self.path / "latencies.jsonl"

    @property
    def cache_path(self) -> Path:
        """Decoded faces; shared by all studies beside this one."""
        return self.path.parent / ".cache"

    @property
    def report_path(self) -> Path:
        """The report page."""
        return self.path / "report.html"

"""The errors of the studies room.

SearchError              base of everything this room raises on purpose
├── ConfigError          a study.toml that cannot be right, with file, key and reason (exit code 2)
├── StudyError           a study that is missing, busy, or cannot be resumed as asked (exit code 1)
│   ├── NothingToShow    the study exists and has nothing to answer with yet (exit code 3)
│   └── TrialError       a trial could not be evaluated, and not for its candidate's sake; ``blames`` says for whose
├── StageTimeoutError    a stage took longer than the study's limits allow; becomes the trial's outcome
├── LedgerError          the record of a study cannot be read or written (exit code 1)
├── TrackingError        MLflow or TensorBoard cannot be told about a study; never ends a search (exit code 1)
└── ArtifactError        the artifact store cannot be written, for example because the disk is full (exit code 1)
"""

from typing import Literal

type Party = Literal["candidate", "phone", "lab", "worker", "us"]
"""Who is to blame for a trial that did not end well."""


class SearchError(Exception):
    """Base of every error that ``search`` raises on purpose. ``exit_code`` is for the command line."""

    exit_code = 1


class ConfigError(SearchError):
    """A study.toml that cannot be right; the message names file and key."""

    exit_code = 2


class StudyError(SearchError):
    """A study that is missing, already exists, is being run by another process, or cannot go on."""


class NothingToShow(StudyError):  # noqa: N818 - a state of the world, not an error of anybody
    """The study exists and has nothing to answer with yet."""

    exit_code = 3


class TrialError(StudyError):
    """A trial could not be evaluated, which ends the run and leaves the trial open: ``blames`` is who is to look.

    ``"phone"``, ``"lab"`` (what phones share, or nobody's phone was free), ``"worker"`` (a machine: memory, disk) or
    ``"us"`` (a mistake in this program).
    """

    def __init__(self, message: str, blames: Party = "us") -> None:
        super().__init__(message)
        self.blames = blames


class StageTimeoutError(SearchError):
    """A *stage* took longer than its limit of *minutes*."""

    def __init__(self, stage: str, minutes: float) -> None:
        super().__init__(f"{stage} took more than {minutes:g} minutes (limits.{stage} in study.toml)")
        self.stage, self.minutes = stage, minutes

    def __reduce__(self) -> tuple[type["StageTimeoutError"], tuple[str, float]]:
        return StageTimeoutError, (self.stage, self.minutes)


class LedgerError(SearchError):
    """The record of a study cannot be read or written."""


class TrackingError(SearchError):
    """A place where a study is shown, MLflow or TensorBoard, cannot be written; the search itself goes on."""


class ArtifactError(SearchError):
    """The artifact store cannot be written, for example because the disk is full."""

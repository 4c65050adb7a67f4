"""The errors of the studies room.

SearchError              base of everything this room raises on purpose
├── ConfigError          a study.toml that cannot be right, with file, key and reason (exit code 2)
├── StudyError           a study that is missing, busy, or cannot be resumed as asked (exit code 1)
│   └── NothingToShow    the study exists and has nothing to answer with yet (exit code 3)
├── LedgerError          the record of a study cannot be read or written (exit code 1)
└── ArtifactError        the artifact store cannot be written, for example because the disk is full (exit code 1)
"""


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


class LedgerError(SearchError):
    """The record of a study cannot be read or written."""


class ArtifactError(SearchError):
    """The artifact store cannot be written, for example because the disk is full."""

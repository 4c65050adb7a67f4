"""Who brings a study's pages to where they are read: once, or as long as the study is run."""

import fcntl
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from search.candidate import digest_of
from search.config import StudyConfig
from search.errors import ConfigError, StudyError, TrackingError
from search.exporting import model_of
from search.folder import StudyFolder
from search.ledger import Ledger, is_being_written
from search.record import StudyRecord, TrialRecord
from search.toml import validated
from search.trackers import TrackingConfig
from search.tracking.mlflow import MLflow
from search.tracking.page import STUDY, Page, key_of, study_page, trial_page
from search.tracking.tensorboard import TensorBoard
from search.watching import follow

logger = logging.getLogger(__name__)


class Receiver(Protocol):
    """Where pages are read. ``show`` writes what it does not hold yet of a page, or raises ``TrackingError``."""

    name: str

    def show(self, page: Page) -> None:
        """Bring what it holds of *page* up to date."""


class Tracker:
    """Shows one *receiver* what changed. ``model`` finds the file of a complete trial, where it is to be handed on."""

    def __init__(self, receiver: Receiver, model: Callable[[StudyRecord, TrialRecord], Path | None]) -> None:
        self.name = receiver.name
        self._receiver = receiver
        self._model = model
        self._shown: dict[str, tuple[int, str]] = {}
        self._behind = False

    def bring(self, record: StudyRecord, *, running: bool) -> None:
        """Show every page that changed since it was shown last.

        Raises:
            TrackingError: it cannot be written; the rest is shown the next time.
        """
        stand = (len(record.told), "running" if running else "")
        if self._shown.get(STUDY) != stand:
            self._receiver.show(study_page(record, running=running))
            self._shown[STUDY] = stand
        for number, trial in record.trials.items():
            key, mark = key_of(number), (len(trial.reports), trial.state)
            if self._shown.get(key) != mark:
                self._receiver.show(trial_page(record, trial, self._model(record, trial)))
                self._shown[key] = mark

    def attempt(self, record: StudyRecord, *, running: bool) -> None:
        """``bring``; a failure is told once, until it works again."""
        try:
            self.bring(record, running=running)
        except TrackingError as error:
            if not self._behind:
                logger.warning("%s; the search goes on, what is missing is written later", error)
            self._behind = True
        else:
            if self._behind:
                logger.warning("%s: caught up", self.name)
            self._behind = False


def chosen(config: StudyConfig, *, mlflow: str | None, tensorboard: bool | Path, models: bool) -> TrackingConfig:
    """Return who is to be told: those who are named here, or else those that *config* names.

    Raises:
        ConfigError: nobody is, or a package is missing.
    """
    given = {"mlflow": mlflow, "tensorboard": tensorboard, "models": models}
    named = validated(TrackingConfig, given, Path("track"))
    tracking = named if named.wanted else config.tracking
    if not tracking.wanted:
        raise ConfigError("say where to: --mlflow URI, --tensorboard DIR, or [tracking] in the study's study.toml")
    tracking.check_packages()
    return tracking


def trackers(folder: StudyFolder, tracking: TrackingConfig) -> list[Tracker]:
    """Return a tracker for each place that *tracking* names, for the study in *folder*."""
    found: list[Tracker] = []
    if tracking.mlflow is not None:
        opened = _record(folder).opened
        study = digest_of(opened.name, opened.config_digest, opened.at.isoformat() if opened.at else None)
        model = partial(_model, folder) if tracking.models else _no_model
        found.append(Tracker(MLflow(tracking.mlflow, opened.name, study), model))
    if tracking.tensorboard is not False:
        given = tracking.tensorboard
        above = folder.path / "tensorboard" if given is True else given / folder.path.name
        found.append(Tracker(TensorBoard(above), _no_model))
    return found


def catch_up(folder: StudyFolder, those: Sequence[Tracker]) -> StudyRecord:
    """Bring *those* to the present state of the study in *folder*; return that.

    Raises:
        TrackingError: one cannot be written; the others are nevertheless.
        StudyError: another process does so at the moment.
    """
    with _alone(folder, wait=False):
        return _bring(folder, those)


def keep_up(folder: StudyFolder, those: Sequence[Tracker], wait: Callable[[], object]) -> StudyRecord:
    """As ``catch_up``, again and again (*wait* between looks) until nobody runs the study; after others that do so.

    Raises:
        TrackingError: one was behind at the end.
    """

    def show(record: StudyRecord) -> None:
        for tracker in those:
            tracker.attempt(record, running=True)

    with _alone(folder, wait=True):
        follow(folder, show, wait)
        return _bring(folder, those)


def _bring(folder: StudyFolder, those: Sequence[Tracker]) -> StudyRecord:
    running = is_being_written(folder.ledger_path)
    record, failed = _record(folder), None
    for tracker in those:
        try:
            tracker.bring(record, running=running)
        except TrackingError as error:
            failed = failed or error
    if failed:
        raise failed
    return record


@contextmanager
def _alone(folder: StudyFolder, *, wait: bool) -> Iterator[None]:
    """Keep others from telling about the study in *folder*, who would write the same beside what this one writes."""
    with folder.config_path.open("rb") as study:  # may be read where nothing may be written
        try:
            fcntl.flock(study, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise StudyError(f"{folder.path.name}: another process tracks this study just now; it writes all") from None
        except OSError as error:  # a file system without locks
            logger.info("%s: %s", folder.config_path, error)
        yield


def _record(folder: StudyFolder) -> StudyRecord:
    with Ledger.open(folder.ledger_path, readonly=True) as ledger:
        return ledger.record()


def _no_model(_record: StudyRecord, _trial: TrialRecord) -> None:
    return None


def _model(folder: StudyFolder, record: StudyRecord, trial: TrialRecord) -> Path | None:
    if trial.state != "complete":
        return None
    try:
        return model_of(record, trial, folder.artifacts_path)
    except StudyError:  # altered or gone: the numbers are told nevertheless
        return None

"""Running a study: Ray Tune walks candidates through their journeys, a study asks and is told. All of Ray is in here.

``run`` is the door. Behind it: ``preparation`` refuses what cannot work before anything starts, ``engine`` brings
Ray up and down, ``worker`` is what runs in Ray's processes, ``searcher`` stands between Tune and the study,
``driver`` holds them together and writes the ledger.
"""

import os
from collections.abc import Callable

ENVIRONMENT = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # no FutureWarning about accelerators
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune prints nothing: progress is ours
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths go on meaning the same in workers
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # workers use this environment, not one packed by uv
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger is the only record
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # signals are ours: search.tuning.driver
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # not every report has val_f1
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # one line each of ours instead: search.tuning.searcher
}
for _name, _value in ENVIRONMENT.items():  # before the modules below import Ray, which reads some of it then
    os.environ.setdefault(_name, _value)

from search.folder import StudyFolder  # noqa: E402
from search.record import StudyRecord  # noqa: E402
from search.tuning.driver import drive  # noqa: E402
from search.tuning.preparation import prepare  # noqa: E402
from search.tuning.worker import workshop  # noqa: E402

__all__ = ["run"]


def run(folder: StudyFolder, *, on_change: Callable[[StudyRecord], None] | None = None) -> str:
    """Run, or go on with, the study in *folder* until its budget is spent; return why it ended.

    The reason is ``"finished"``, a sentence about the part of the budget that is spent, or ``"interrupted"`` (SIGINT or
    SIGTERM; the study can be resumed, as after any error and any kill). *on_change* is called with the record after
    changes, at most twice a second.

    Raises:
        ConfigError, DataError, DeviceLabError: refused before the start: what the study needs is not there.
        StudyError: the study is being run by another process, or its meaning changed.
        TrialError: a trial ended by an error that is not the candidate's; the message says whose it is, and where
            the details are.
        LedgerError: the ledger cannot be read or written.
    """
    prepare(folder)
    return drive(folder, workshop, on_change=on_change)

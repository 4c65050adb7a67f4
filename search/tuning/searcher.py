"""Between Tune and the study: Tune asks for trials and brings results, the study answers and is told.

Tune catches ``Exception`` in many places and goes on with a warning or a retry. What must end a run is therefore
raised as ``Halt``, which is none; it passes through Tune to the driver.
"""

import functools
import logging
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune import Callback, Stopper
from ray.tune.search import Searcher

from search.errors import SearchError, StudyError
from search.objectives import Outcome
from search.record import Report
from search.study import Study
from search.tuning.worker import in_one_line

logger = logging.getLogger(__name__)

RETRIES = 2
"""How often a trial starts again after the death of its process, or a phone's error, before the run stops."""


class Halt(BaseException):
    """Ends Tune's loop at once; ``cause`` is what the driver raises instead, ``None`` for an interruption.

    ``trace`` holds the details for the study's log of errors.
    """

    def __init__(self, cause: SearchError | None, trace: str = "") -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.trace = trace


def halting[**P, R](method: Callable[P, R]) -> Callable[P, R]:
    """Turn any error of *method*, a ledger's for example, into a halt: Tune would only log it."""

    @functools.wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except SearchError as error:
            raise Halt(error) from error
        except Exception as error:
            raise Halt(StudyError(in_one_line(error)), traceback.format_exc()) from error

    return guarded


class StudySearcher(Searcher):  # type: ignore[misc] # Ray is untyped
    """Hands the study's trials to Tune, at most *concurrency* at a time and none after *deadline* (by *clock*)."""

    def __init__(
        self, study: Study, concurrency: int, deadline: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._study = study
        self._concurrency = concurrency
        self._deadline = deadline
        self._clock = clock
        self._running: dict[str, int] = {}
        self.out_of_time = False

    @halting
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next trial for Tune, ``None`` to be asked later, or ``FINISHED``."""
        if self._study.finished:
            return str(self.FINISHED)
        if self._clock() >= self._deadline:
            self.out_of_time = True
            return str(self.FINISHED)
        if len(self._running) >= self._concurrency:
            return None
        question = self._study.ask()
        if question is None:
            return str(self.FINISHED) if self._study.finished else None
        self._running[trial_id] = question.number
        return {"number": question.number, "candidate": question.candidate.model_dump_json()}

    @halting
    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass a report on."""
        self._report(self._running[trial_id], result)

    @halting
    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell how a trial ended: by its outcome, by early stopping, or not at all after an error."""
        number = self._running.pop(trial_id)
        if error or result is None:
            return  # the trial stays open; Watch.on_trial_error ends the run
        if "crash" in result:
            raise Halt(StudyError(f"trial {number}: {result['crash']}"), result["trace"])
        if "outcome" in result:
            self._study.tell(number, Outcome.model_validate_json(result["outcome"]))
            return
        report = self._report(number, result)
        shown = ", ".join(f"{name} {value:.3g}" for name, value in report.values.items())
        self._study.tell(number, Outcome(state="stopped", reason=f"early stopping at epoch {report.rung}: {shown}"))

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger is what a study is resumed from."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing, as ``save``."""

    def _report(self, number: int, result: dict[str, Any]) -> Report:
        report = Report.model_validate_json(result["report"])
        self._study.report(number, report.rung, report.values)
        return report


class Watch(Stopper, Callback):  # type: ignore[misc] # Ray is untyped
    """Called by Tune about ten times a second: looks whether to stop, and lets the driver look around (*look*)."""

    def __init__(self, interrupted: Callable[[], bool], look: Callable[[], None]) -> None:
        self._interrupted = interrupted
        self._look = halting(look)

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its helpers into a state that nobody reads: there is nothing to keep."""
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:  # noqa: ARG002 - Tune's signature
        """Stop no single trial."""
        return False

    def stop_all(self) -> bool:
        """Halt when the run was interrupted."""
        if self._interrupted():
            raise Halt(None)
        self._look()
        return False

    def on_trial_recover(self, *, trial: Any, **_: Any) -> None:  # noqa: ANN401 - Ray is untyped
        """Log that a trial starts again."""
        logger.warning("trial %s starts again: %s", trial.config["number"], _last_line(_trace(trial)))

    def on_trial_error(self, *, trial: Any, **_: Any) -> None:  # noqa: ANN401 - Ray is untyped
        """Halt: a trial could not be evaluated, and that is not the candidate's fault."""
        number, trace = trial.config["number"], _trace(trial)
        reason = f"could not be evaluated, {RETRIES + 1} times: {_last_line(trace)}"
        raise Halt(StudyError(f"trial {number} {reason}"), trace)


def _trace(trial: Any) -> str:  # noqa: ANN401 - Ray is untyped
    """Return what Tune wrote down about the errors of *trial*."""
    try:
        return Path(trial.error_file).read_text(encoding="utf-8")
    except (OSError, TypeError):
        return ""


def _last_line(trace: str) -> str:
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    return lines[-1] if lines else "its process ended"

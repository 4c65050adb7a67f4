"""Between Tune and the study: Tune asks for trials and brings results, the study answers and is told.

How a trial ends that did not get to its outcome is decided here, not by Tune, which knows one kind of failure only:

====================================== =================================================================
fact                                   ending
====================================== =================================================================
a stage hung                           outcome ``failed``, the candidate's fault; measuring: as the next
a phone or the lab failed              again, up to ``RETRIES`` times; then the run ends, blaming it
the worker died or had no memory left  again, up to ``RETRIES`` times; then outcome ``failed``, the
                                       candidate's fault, if others get on; else the run ends
the worker's machine was lost          again, up to ``MACHINES`` times; then as the line above
anything else                          the run ends, blaming us or the worker's disk
====================================== =================================================================

Tune catches ``Exception`` in many places and goes on with a warning or a retry. What must end a run is therefore
raised as ``Halt``, which is none; it passes through Tune to the driver.
"""

import functools
import logging
import traceback
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune import Callback, Stopper
from ray.tune.search import Searcher

from search.budget import Spent
from search.errors import Party, SearchError, StageTimeoutError, StudyError, TrialError
from search.objectives import Outcome
from search.overseer import Note
from search.record import Report
from search.spending import Spending
from search.study import Question, Study
from search.tuning.worker import in_one_line

logger = logging.getLogger(__name__)

RETRIES = 2
"""How often a trial starts again after the death of its process, or a phone's error, before that is its end."""


MACHINES = 10
"""How often a trial starts again because its machine was lost, before that counts like the death of its process."""
MACHINE_LOST = "its node has died"
"""How Ray 2.60 says so in an ``ActorDiedError``, which has no field for it; with the machine goes its Ray daemon."""
IN_A_ROW = 3
"""How many candidates may end all their workers with none between that gets on; the next time it is the workers."""


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
    """Hands the study's trials to Tune, at most *in_flight* at a time, and none when part of the budget is *spent*.

    *note_of* tells what the worker that had a trial noted last; *learn* sees every report; *proven* tells whether a
    trial ever got on.
    """

    def __init__(
        self,
        study: Study,
        in_flight: int,
        spent: Callable[[], Spending | None] = lambda: None,
        note_of: Callable[[int], Note | None] = lambda _number: None,
        *,
        learn: Callable[[Report], None] = lambda _report: None,
        proven: bool = False,
    ) -> None:
        super().__init__()
        self._study = study
        self._in_flight = in_flight
        self._spent = spent
        self._note_of = note_of
        self._learn = learn
        self._running: dict[str, Question] = {}
        self._dead: dict[int, Question] = {}
        self._again: deque[Question] = deque()
        self._failures: Counter[int] = Counter()
        self._machines: Counter[int] = Counter()
        self._got_on = {-1} if proven else set()
        self._victims = 0
        self.ended_by: Spending | None = None

    @halting
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next trial for Tune, ``None`` to be asked later, or ``FINISHED``."""
        if self._study.finished:
            return str(self.FINISHED)
        self.ended_by = self._spent()
        if self.ended_by is not None:
            return str(self.FINISHED)
        if len(self._running) >= self._in_flight:
            return None
        question = self._next()
        if question is None:
            return str(self.FINISHED) if self._study.finished else None
        self._running[trial_id] = question
        return {"number": question.number, "candidate": question.candidate.model_dump_json()}

    @halting
    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass a report on."""
        self._report(self._running[trial_id].number, result)

    @halting
    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell how a trial ended: by its outcome, by early stopping; or what follows from its failure."""
        question = self._running.pop(trial_id)
        number = question.number
        if error or result is None:
            self._dead[number] = question  # Tune calls Watch.on_trial_error next, which knows more
            return
        if "crash" in result:
            self._failed(question, result["crash"], result["trace"], result["blames"], again=result["again"])
            return
        self._got_on.add(number)
        self._victims = 0
        if "outcome" in result:
            self._study.tell(number, Outcome.model_validate_json(result["outcome"]), spent=_spent(result))
            return
        report = self._report(number, result)
        shown = ", ".join(f"{name} {value:.3g}" for name, value in report.values.items())
        self._study.tell(number, Outcome(state="stopped", reason=f"early stopping at epoch {report.rung}: {shown}"))

    @halting
    def died(self, number: int, trace: str) -> None:
        """Decide about trial *number*, whose process ended; *trace* is what Tune knows about it."""
        question, note = self._dead.pop(number), self._note_of(number)
        where = f" in {note.stage}" if note else ""
        if note and note.hung and note.stage == "measure":
            late = StageTimeoutError(note.stage, note.minutes)
            self._failed(question, f"no phone answered: {late}", note.trace, "phone", again=True)
        elif note and note.hung:
            logger.warning("trial %d hung in %s:\n%s", number, note.stage, note.trace)
            self._fail(number, f"StageTimeoutError: {StageTimeoutError(note.stage, note.minutes)}")
        elif MACHINE_LOST in trace and self._machines[number] < MACHINES:
            self._machines[number] += 1
            logger.warning("trial %d starts again: its machine was lost%s", number, where)
            self._again.append(question)
        else:
            self._failed(question, f"its process ended{where}: {_last_line(trace)}", trace, "worker", again=True)

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger is what a study is resumed from."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing, as ``save``."""

    def _next(self) -> Question | None:
        """Return what to walk: a new question before one that failed, so that one bad trial does not hold all up."""
        fresh = self._study.ask() if not self._again or not self._got_on else None
        return fresh or (self._again.popleft() if self._again else None)

    def _failed(self, question: Question, said: str, trace: str, blames: Party, *, again: bool) -> None:
        number = question.number
        self._failures[number] += 1
        if again and self._failures[number] <= RETRIES:
            logger.warning("trial %d starts again: %s", number, said)
            self._again.append(question)
            return
        if again:
            said = f"could not be evaluated, {RETRIES + 1} times: {said}"
        if again and blames == "worker" and self._got_on - {number} and self._victims < IN_A_ROW:
            self._victims += 1
            self._fail(number, said)
            return
        raise Halt(TrialError(f"trial {number}{' ' if again else ': '}{said} (to blame: {blames})", blames), trace)

    def _fail(self, number: int, reason: str) -> None:
        self._study.tell(number, Outcome(state="failed", reason=reason, blames="candidate"))

    def _report(self, number: int, result: dict[str, Any]) -> Report:
        report = Report.model_validate_json(result["report"])
        self._study.report(number, report.rung, report.values, report.features, spent=_spent(result))
        self._learn(report)
        return report


class Watch(Stopper, Callback):  # type: ignore[misc] # Ray is untyped
    """Called by Tune about ten times a second: looks whether to stop, and lets the driver look around (*look*)."""

    def __init__(
        self, interrupted: Callable[[], bool], look: Callable[[], None], died: Callable[[int, str], None]
    ) -> None:
        self._interrupted = interrupted
        self._look = halting(look)
        self._died = died

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

    def on_trial_error(self, *, trial: Any, **_: Any) -> None:  # noqa: ANN401 - Ray is untyped
        """Say that the process of a trial ended."""
        self._died(int(trial.config["number"]), _trace(trial))


def _spent(result: dict[str, Any]) -> Spent:
    return Spent.model_validate_json(result.get("spent", "{}"))


def _trace(trial: Any) -> str:  # noqa: ANN401 - Ray is untyped
    """Return what Tune wrote down about the errors of *trial*."""
    try:
        return Path(trial.error_file).read_text(encoding="utf-8")
    except (OSError, TypeError):
        return ""


def _last_line(trace: str) -> str:
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    return lines[-1] if lines else "its process ended"

"""What Tune asks about the order of trials and about stopping them; who stops is decided in ``search.halving``."""

from collections import defaultdict
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from search.candidate import Candidate
from search.halving import Halving, end_of, progress_at
from search.objectives import ObjectiveName, Outcome
from search.record import Report
from search.tuning.searcher import halting


class InOrder(FIFOScheduler):  # type: ignore[misc] # Ray is untyped
    """Starts trials in their order, whatever the number of those that ended: Tune's own looks at all of them, twice."""

    def choose_trial_to_run(self, tune_controller: Any) -> Any:  # noqa: ANN401 - Ray is untyped
        """Return the trial to start next, ``None`` if all that live are running."""
        waiting = [trial for trial in tune_controller.get_live_trials() if trial.status == Trial.PENDING]
        return min(waiting, key=lambda trial: int(trial.config["number"]), default=None)


class HalvingScheduler(InOrder):
    """Starts trials in their order, and stops those that *halving* does not let go on from a rung."""

    def __init__(self, halving: Halving, objectives: tuple[ObjectiveName, ...]) -> None:
        super().__init__()
        self._halving = halving
        self._objectives = objectives
        self._known: defaultdict[int, dict[str, float]] = defaultdict(dict)

    @halting
    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:  # noqa: ANN401, ARG002
        """Let *trial* go on, or stop it, after the report in *result*."""
        report = Report.model_validate_json(result["report"])
        number = int(trial.config["number"])
        known = self._known[number]
        known |= report.values
        if report.rung == 0:
            return str(TrialScheduler.CONTINUE)
        candidate = Candidate.model_validate_json(trial.config["candidate"])
        progress = progress_at(number, candidate, report.rung, known, self._objectives)
        return str(TrialScheduler.CONTINUE if self._halving.goes_on(progress) else TrialScheduler.STOP)

    @halting
    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:  # noqa: ANN401, ARG002
        """Learn how *trial* ended, and forget what was known of it."""
        number = int(trial.config["number"])
        self._known.pop(number, None)
        outcome = Outcome.model_validate_json(result["outcome"]) if "outcome" in result else None
        self._halving.ends(number, end_of(outcome, self._objectives))

    def debug_string(self) -> str:
        """Return the name of the rule."""
        return "multi-objective successive halving"

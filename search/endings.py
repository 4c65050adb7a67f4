"""How a trial's outcome reaches Optuna, and what counts as one.

=========== ======== =====================================================================
outcome     state    why
=========== ======== =====================================================================
complete    COMPLETE with one finite value per objective
infeasible  COMPLETE with its broken constraints; values that are not known are the worst
                     possible ones. TPE and NSGA-II rank infeasible trials by their broken
                     constraints alone, after all feasible ones, and NSGA-II looks at no
                     trial in another state (optuna 5.0: ``_split_trials`` of the TPE sampler,
                     ``_constrained_dominates`` of NSGA-II)
stopped     PRUNED   ended by early stopping: low-fidelity values are never mixed with final
failed      FAIL     the candidate's fault; samplers ignore it, the ledger has the reason
=========== ======== =====================================================================
"""

import math

from optuna.trial import TrialState

from search.config import StudyConfig
from search.errors import Party
from search.objectives import ObjectiveName, Outcome

WORST: dict[ObjectiveName, float] = {"f1": 0.0, "gap": 1.0, "latency": math.inf}
"""What Optuna is told where an infeasible trial has no value; no sampler compares it, no ledger holds it."""


def broken(outcome: Outcome, config: StudyConfig) -> dict[str, float]:
    """Return by how much *outcome* breaks each constraint, relative to its bound."""
    bounds = {key: bound for key, bound in config.constraints if bound is not None}
    return {key: outcome.violations.get(key, 0.0) / bound for key, bound in bounds.items()}


def ending(outcome: Outcome, config: StudyConfig) -> tuple[TrialState, list[float] | None]:
    """Return the state and the values by which Optuna knows *outcome*; see the module."""
    match outcome.state:
        case "complete" | "infeasible":
            values = [outcome.values.get(name, WORST[name]) for name in config.objectives]
            return TrialState.COMPLETE, values
        case "stopped":
            return TrialState.PRUNED, None
        case "failed":
            return TrialState.FAIL, None


def checked(outcome: Outcome, config: StudyConfig) -> Outcome:
    """Return *outcome*; as failed if it is complete without a finite value for each objective."""
    if outcome.state != "complete":
        return outcome
    missing = [name for name in config.objectives if not math.isfinite(outcome.values.get(name, math.nan))]
    if not missing:
        return outcome
    finite = {name: value for name, value in outcome.values.items() if math.isfinite(value)}
    reason = f"no value for {', '.join(missing)}"
    blames: Party = "us" if len(finite) == len(outcome.values) else "candidate"
    told = {"state": "failed", "reason": reason, "values": finite, "blames": blames}
    return outcome.model_copy(update=told)

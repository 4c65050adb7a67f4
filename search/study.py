"""The study: asks the sampler for candidates, and tells it how they ended. With ``search.sampling``, all of Optuna.

Optuna's study lives in memory. The truth is the ledger: whatever is asked, reported or told is
recorded there first, and a new ``Study`` on the same ledger replays it to the same state.

A sampler keeps nothing from one question to the next: for each question it is made anew from
(seed, trial number, attempt), so its proposal depends only on these and on the history. A study
that was killed and resumed asks what it would have asked anyway.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from search.acquisition import gp_params
from search.budget import Spent
from search.candidate import Candidate
from search.config import StudyConfig
from search.endings import broken, checked, ending
from search.errors import StudyError
from search.ledger import Ledger
from search.objectives import DIRECTIONS, Outcome
from search.recalled import Recalled
from search.record import Event, StudyRecord, TrialAsked, TrialReported, TrialTold
from search.remaining import Remaining
from search.sampling import Told, sampler_of, thinned
from search.space import covering_design, suggest
from search.staged import Staged
from search.thrift import ThriftyTPE, cooled, first_params

KEPT, MOST = 150, 200
"""Finished trials that TPE learns from: up to ``MOST``, of which ``KEPT`` are kept then. The time of a question grows
faster than the number of trials on the front: 14 s at 5,000. ``benchmarks/suggestion.py`` found no loss of
hypervolume: -0.3 % +- 0.5 % (95 %, 20 seeds, 400 trials)."""
ATTEMPTS = 20
"""How often the sampler is asked for a candidate that is new, before a known one is taken (the last half at random)."""
GP_ATTEMPTS = 2
"""How often of these Gaussian processes are asked, which proposes what is known only when nothing else was drawn."""

PRIOR = "prior"
"""Marks, in Optuna, a trial of another study."""
NOTHING = Spent()
"""What was spent, where nobody counts."""

LEARNT = (TrialState.COMPLETE, TrialState.PRUNED)
"""The states, in Optuna, of what a sampler learns from."""

type Past = dict[int, Recalled | FrozenTrial]
"""What Optuna would know, without it: trials in its order, those of before (below 0) and those of the ledger."""


class Question(NamedTuple):
    """A trial that was handed out: its number in the study and what to evaluate."""

    number: int
    candidate: Candidate


class Study:
    """One study on its *ledger*, which is open for writing; what stands in the ledger is replayed first.

    *hear* is told every event, those of before too. *priors* are trials of another study that the sampler knows from
    the beginning; none of them is a trial of this one.

    Raises:
        StudyError: the ledger's trials do not fit the space of *config*.
    """

    def __init__(
        self,
        config: StudyConfig,
        ledger: Ledger,
        hear: Callable[[Event], None] = lambda _event: None,
        priors: Sequence[Told] = (),
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._config = config
        self._ledger = ledger
        self._hear = hear
        self._optuna = optuna.create_study(directions=[DIRECTIONS[name] for name in config.objectives])
        self._design = covering_design(config)[: config.sampler.startup_trials]
        self._plan = Staged(config) if config.sampler.name == "staged" else None
        self._live: dict[int, Trial] = {}
        self._first: dict[str, int] = {}  # candidate digest -> the first trial of that candidate
        self._outcomes: dict[int, Outcome] = {}
        self._told: list[Told] = []
        self._remaining = Remaining(config)
        self._asked = 0
        self._dry = False  # nothing new to ask until something is told
        open_trials: dict[int, Question] = {}
        for prior in priors:
            self._remember(prior)
        recall = config.sampler.name != "nsga2"  # NSGA-II gives a trial its generation when it is asked
        past: Past = {-1 - place: trial for place, trial in enumerate(self._optuna.get_trials()) if recall}
        for event in ledger.events():
            hear(event)
            if isinstance(event, TrialAsked):
                self._replay(event, past if recall else None)
                open_trials[event.number] = Question(event.number, event.candidate)
            elif isinstance(event, TrialTold):
                if recall:
                    past = self._recalled(past, event.number, event.outcome)
                else:
                    self._absorb(event.number, event.outcome)
                del open_trials[event.number]
        if recall:
            self._take_up(past)
        self._reopened = deque(open_trials[number] for number in sorted(open_trials))

    @property
    def finished(self) -> bool:
        """Whether the budget of trials, or the plan, is spent and every trial that was handed out is told."""
        return self._asked >= self._most and not self._live

    @property
    def _most(self) -> int:
        """How many trials may be handed out, by what is known now."""
        budget = self._config.budget.trials
        return budget if self._plan is None else min(budget, self._plan.size(self._outcomes))

    def record(self) -> StudyRecord:
        """Return everything that is known about the study."""
        return self._ledger.record()

    def ask(self) -> Question | None:
        """Hand out a trial: first those that an earlier run left open, then new ones.

        A candidate whose outcome is known, or that is being evaluated, is not handed out again: the
        sampler is asked for another one. When it knows no other and nothing is running, the trial is
        told at once with the recorded outcome (reason ``"duplicate of trial N"``).

        Returns:
            ``None`` when there is nothing to evaluate now: the budget is spent, or all that the sampler
            proposes is being evaluated already.
        """
        if self._reopened:
            return self._reopened.popleft()
        while self._asked < self._most and not self._dry:
            proposal = self._propose()
            if proposal is None:
                self._dry = True
                return None
            number, candidate = self._asked, proposal[1]
            params = dict(proposal[0].params)
            self._note(TrialAsked(number=number, candidate=candidate, params=params))
            twin = self._first.get(candidate.digest)
            self._enter(number, *proposal)
            if twin is None:
                return Question(number, candidate)
            self._tell_as(number, twin)
        return None

    def report(
        self,
        number: int,
        rung: int,
        values: dict[str, float],
        features: tuple[float, ...] = (),
        *,
        spent: Spent = NOTHING,
    ) -> None:
        """Record what the open trial *number* reached at *rung*, and what was *spent* since its last report.

        *features* are those of the graph at rung 0.
        """
        self._note(TrialReported(number=number, rung=rung, values=values, features=features, spent=spent))

    def tell(self, number: int, outcome: Outcome, *, spent: Spent = NOTHING) -> Outcome:
        """Record how the open trial *number* ended, tell the sampler, and return the outcome as recorded.

        *spent* is what it took since the trial's last report.

        A ``complete`` outcome without a finite value for every objective is recorded as ``failed``.

        Raises:
            StudyError: the trial is not open.
        """
        if number not in self._live:
            raise StudyError(f"trial {number} is not open; each trial is told once")
        outcome = checked(outcome, self._config)
        self._note(TrialTold(number=number, outcome=outcome, spent=spent))
        self._absorb(number, outcome)
        return outcome

    def _note(self, event: Event) -> None:
        self._ledger.append(event)
        self._hear(event)

    def _propose(self) -> tuple[Trial, Candidate] | None:
        """Return a proposal for the next trial: new if the sampler knows one, else known if nothing is running."""
        if self._plan is not None:
            params = self._plan.params(self._asked, self._outcomes)
            return None if params is None else self._planned(params)
        for attempt in range(ATTEMPTS):
            trial = self._ask_optuna(attempt)
            candidate = suggest(trial, self._config)
            twin = self._first.get(candidate.digest)
            if twin is None or (attempt == ATTEMPTS - 1 and not self._live):
                return trial, candidate
            self._optuna.tell(trial, state=TrialState.FAIL)
        return None

    def _ask_optuna(self, attempt: int) -> Trial:
        number = self._asked
        settings = self._config.sampler
        seed = int(np.random.SeedSequence([self._config.seed, number, attempt]).generate_state(1)[0])
        if attempt == 0 and number < len(self._design):
            return self._given(self._design[number])
        alpha = cooled(number, self._config.budget.trials) if settings.cost_aware else 0.0
        if settings.name == "gp" and attempt < GP_ATTEMPTS:
            running = [self._live[other].params for other in sorted(self._live)]
            return self._given(gp_params(self._config, self._told, running, self._remaining, alpha, seed))
        if attempt >= ATTEMPTS // 2:
            settings = settings.model_copy(update={"name": "random"})
        if settings.name != "tpe" or not settings.cost_aware:
            self._optuna.sampler = sampler_of(settings, seed)
            return self._optuna.ask()
        if len(self._optuna.get_trials(deepcopy=False, states=LEARNT)) < settings.startup_trials:
            return self._given(first_params(self._config, self._remaining, alpha, np.random.default_rng(seed)))
        self._optuna.sampler = ThriftyTPE(settings, seed, self._remaining, alpha)
        return self._optuna.ask()

    def _given(self, params: dict[str, Any]) -> Trial:
        """Return a new trial of Optuna's that answers with *params*; no sampler is asked, NSGA-II takes note."""
        name = self._config.sampler.name
        settings = self._config.sampler.model_copy(update={"name": "nsga2" if name == "nsga2" else "random"})
        self._optuna.sampler = sampler_of(settings, seed=0)
        self._optuna.enqueue_trial(params)
        return self._optuna.ask()

    def _planned(self, params: dict[str, Any]) -> tuple[Trial, Candidate]:
        trial = self._given(params)
        return trial, suggest(trial, self._config)

    def _replay(self, asked: TrialAsked, past: Past | None) -> None:
        """Hand *asked* out as the ledger tells: to *past* if there is one, else to Optuna, which takes longer."""
        if asked.number != self._asked:
            raise StudyError(f"the ledger hands out trial {asked.number} where trial {self._asked} is due")
        trial = self._given(asked.params) if past is None else Recalled(asked.params)
        try:
            fits = suggest(trial, self._config) == asked.candidate
        except KeyError:
            fits = False
        if not fits:
            raise StudyError(
                f"trial {asked.number} of the ledger does not fit the space in study.toml; "
                "the space of a study never changes: start a study with another name"
            )
        if isinstance(trial, Trial):
            self._enter(asked.number, trial, asked.candidate)
        elif past is not None:
            past[asked.number] = trial
            self._remaining.ask(asked.params)
            self._first.setdefault(asked.candidate.digest, asked.number)
            self._asked = asked.number + 1

    def _recalled(self, past: Past, number: int, outcome: Outcome) -> Past:
        """Return *past* after trial *number* was told: what ``_absorb`` would leave in Optuna, in the same order."""
        asked = past[number]
        if isinstance(asked, FrozenTrial):
            raise StudyError(f"the ledger tells trial {number} twice")
        self._outcomes[number] = outcome
        self._remaining.tell(asked.asked, outcome)
        self._told.append(Told(asked.asked, outcome))
        if self._config.sampler.name != "tpe" or outcome.state == "failed":  # nobody learns from it by Optuna
            del past[number]
        else:
            past[number] = self._frozen(number, asked, outcome)
        finished = [one for one in past.values() if isinstance(one, FrozenTrial) and one.state in LEARNT]
        kept = self._kept(finished) if self._config.sampler.name == "tpe" else None
        if kept is None:
            return past
        waiting = {other: one for other, one in sorted(past.items()) if isinstance(one, Recalled)}
        return {trial.number: trial for trial in kept} | waiting

    def _frozen(self, number: int, asked: Recalled, outcome: Outcome) -> FrozenTrial:
        state, values = ending(outcome, self._config)
        trial = optuna.trial.create_trial(
            state=state,
            values=values,
            params=asked.asked,
            distributions=asked.distributions,
            constraints=broken(outcome, self._config),
        )
        trial.number = number
        return trial

    def _take_up(self, past: Past) -> None:
        """Give Optuna what is left of the *past*, priors among it."""
        self._optuna = optuna.create_study(directions=self._optuna.directions)
        for number, trial in past.items():
            if isinstance(trial, FrozenTrial):
                self._optuna.add_trial(trial)
            else:
                self._live[number] = self._given(trial.asked)
                suggest(self._live[number], self._config)

    def _remember(self, prior: Told) -> None:
        """Let the sampler know a trial that is not of this study."""
        trial = self._given(dict(prior.params))
        suggest(trial, self._config)
        _ = trial.relative_params  # as in ``_enter``
        trial.set_user_attr(PRIOR, value=True)
        self._teach(trial, prior.outcome)

    def _enter(self, number: int, trial: Trial, candidate: Candidate) -> None:
        _ = trial.relative_params  # lazy in Optuna; NSGA-II gives the trial its generation here
        self._live[number] = trial
        self._remaining.ask(trial.params)
        self._first.setdefault(candidate.digest, number)
        self._asked = number + 1

    def _tell_as(self, number: int, twin: int) -> None:
        known = self._outcomes[twin]
        reason = f"duplicate of trial {twin}" + (f": {known.reason}" if known.reason else "")
        self.tell(number, known.model_copy(update={"reason": reason}))

    def _absorb(self, number: int, outcome: Outcome) -> None:
        """Tell Optuna; the ledger knows already."""
        trial = self._live.pop(number)
        self._outcomes[number] = outcome
        self._remaining.tell(trial.params, outcome)
        self._dry = False
        self._teach(trial, outcome)
        if self._config.sampler.name == "tpe":
            self._forget()

    def _teach(self, trial: Trial, outcome: Outcome) -> None:
        """Tell Optuna, and whoever else proposes, how *trial* ended."""
        self._told.append(Told(trial.params, outcome))
        for key, value in broken(outcome, self._config).items():
            trial.set_constraint(key, value)
        state, values = ending(outcome, self._config)
        self._optuna.tell(trial, values, state=state)

    def _forget(self) -> None:
        """Give Optuna a new study of ``KEPT`` trials when it has ``MOST``; priors go, outcomes stay in the ledger.

        What is kept follows from the history alone, so a study that is resumed keeps the same.
        """
        kept = self._kept(self._optuna.get_trials(deepcopy=False, states=LEARNT))
        if kept is None:
            return
        smaller = optuna.create_study(directions=self._optuna.directions)
        smaller.add_trials(kept)
        self._optuna = smaller
        for number, trial in sorted(self._live.items()):
            self._live[number] = self._given(trial.params)
            suggest(self._live[number], self._config)

    def _kept(self, finished: Sequence[FrozenTrial]) -> list[FrozenTrial] | None:
        """Return those of *finished* that TPE goes on with, ``None`` for all of them."""
        if len(finished) < MOST or self._config.sampler.startup_trials > KEPT:  # TPE counts what it has
            return None
        rng = np.random.default_rng([self._config.seed, len(self._outcomes)])
        own = [trial for trial in finished if PRIOR not in trial.user_attrs]
        return thinned(own, self._optuna.directions, KEPT, rng)

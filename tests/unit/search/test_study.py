"""The study: no trial is lost, duplicated, told twice or left open, whatever happens between ask and tell."""

import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import IntDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from search.config import StudyConfig
from search.errors import LedgerError, StudyError
from search.ledger import Ledger
from search.objectives import Outcome
from search.record import StudyOpened, TrialAsked, TrialTold
from search.sampling import thinned
from search.study import Question, Study

SAMPLERS = ("tpe", "nsga2", "random", "gp")


def _with(config: StudyConfig, *, sampler: str = "tpe", startup: int = 5, trials: int = 12) -> StudyConfig:
    return config.model_copy(
        update={
            "sampler": config.sampler.model_copy(update={"name": sampler, "startup_trials": startup}),
            "budget": config.budget.model_copy(update={"trials": trials}),
        }
    )


def _tiny(config: StudyConfig) -> StudyConfig:
    """A space of exactly four candidates."""
    space = config.space.model_copy(
        update={
            "architecture": ("mobilenetv2_100",),
            "input_size": (48,),
            "population": ("all",),
            "pruning": ("none",),
            "clusters": (None,),
            "threads": (1,),
            "training": config.space.training.model_copy(update={"learning_rate": 1e-3}),
        }
    )
    return config.model_copy(update={"space": space})


@contextmanager
def _study(config: StudyConfig, path: Path) -> Iterator[Study]:
    """The study in *path*: a new one, or what a driver that died at this point left behind."""
    if path.exists():
        ledger = Ledger.open(path)
    else:
        opened = StudyOpened(name="t", config=config.model_dump(mode="json"), config_digest=config.digest)
        ledger = Ledger.create(path, opened)
    with ledger:
        yield Study(config, ledger)


def _judge(question: Question) -> Outcome:
    """A deterministic outcome of any of the four kinds, by the candidate alone."""
    rng = np.random.default_rng(int(question.candidate.digest[:12], 16))
    latency = float(rng.uniform(30, 160))
    if latency > 120:
        return Outcome(state="infeasible", values={"latency": latency}, violations={"latency_ms": latency - 120})
    if rng.random() < 0.2:
        return Outcome(state="failed", reason="DivergedError: NaN")
    if rng.random() < 0.2:
        return Outcome(state="stopped", reason="asha")
    values = {"f1": float(rng.random()), "gap": float(rng.random()), "latency": latency}
    return Outcome(state="complete", values=values)


def _complete(**values: float) -> Outcome:
    return Outcome(state="complete", values={"f1": 0.5, "gap": 0.1, "latency": 50.0} | values)


def _asked(path: Path) -> list[TrialAsked]:
    with Ledger.open(path, readonly=True) as ledger:
        return [event for event in ledger.events() if isinstance(event, TrialAsked)]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_study_that_dies_at_every_point_asks_what_it_would_have_asked(
    config: StudyConfig, tmp_path: Path, sampler: str
) -> None:
    config = _with(config, sampler=sampler, startup=4)
    smooth, rough = tmp_path / "smooth.db", tmp_path / "rough.db"
    with _study(config, smooth) as study:
        while question := study.ask():
            study.tell(question.number, _judge(question))
        assert study.finished
    for _ in range(config.budget.trials):
        with _study(config, rough) as study:  # dies after asking
            lost = study.ask()
        with _study(config, rough) as study:  # gets the same trial again, dies after telling
            assert study.ask() == lost
            study.tell(lost.number, _judge(lost))
    with _study(config, rough) as study:
        assert study.finished
        assert study.ask() is None
    strip = {"at": None}
    assert [a.model_copy(update=strip) for a in _asked(rough)] == [a.model_copy(update=strip) for a in _asked(smooth)]


def test_a_study_that_forgets_asks_what_it_would_have_asked_after_a_death_too(
    config: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.study.KEPT", 8)
    monkeypatch.setattr("search.study.MOST", 11)
    config = _with(config, startup=4, trials=40)

    def walk(path: Path, lives: int) -> list[TrialAsked]:
        """Two trials are always under way; the driver dies after every *lives* endings."""
        running: deque[Question] = deque()
        finished = False
        while not finished:
            with _study(config, path) as study:
                running = deque(question for _ in running if (question := study.ask()) is not None)
                for _ in range(lives):
                    while len(running) < 2 and (question := study.ask()) is not None:
                        running.append(question)
                    if running:
                        question = running.popleft()
                        study.tell(question.number, _judge(question))
                    assert len(study._optuna.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) <= 11
                finished = study.finished
        return [asked.model_copy(update={"at": None}) for asked in _asked(path)]

    smooth = walk(tmp_path / "smooth.db", 1000)
    assert len(smooth) == 40
    assert walk(tmp_path / "rough.db", 3) == smooth


def test_a_resumed_study_learns_from_the_same_trials_in_the_same_order(
    config: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.study.KEPT", 8)
    monkeypatch.setattr("search.study.MOST", 11)
    config = _with(config, startup=4, trials=30)

    def known(study: Study) -> list[tuple[object, ...]]:
        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        trials = study._optuna.get_trials(deepcopy=False, states=states)
        return [(t.state, t.values, t.params, t.distributions, t.constraints) for t in trials]

    rng = np.random.default_rng(1)
    with _study(config, tmp_path / "l.db") as study:
        running: list[Question] = []
        for _ in range(24):  # three at a time, which end in any order
            while len(running) < 3 and (question := study.ask()) is not None:
                running.append(question)
            question = running.pop(int(rng.integers(len(running))))
            study.tell(question.number, _judge(question))
        before = known(study)
    with _study(config, tmp_path / "l.db") as study:
        assert known(study) == before
    assert {row[0] for row in before} == {TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING}


def test_what_is_kept_are_the_best_and_a_fair_sample_of_the_others() -> None:
    rng = np.random.default_rng(0)
    trials = [
        create_trial(
            values=[float(f1), float(latency)],
            constraints={"latency_ms": float(over)},
            params={"x": number},
            distributions={"x": IntDistribution(0, 999)},
        )
        for number, (f1, latency, over) in enumerate(
            zip(rng.random(400), rng.random(400), rng.normal(-1, 1, 400), strict=True)
        )
    ]
    directions = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)
    kept = thinned(trials, directions, 50, np.random.default_rng(1))
    numbers = [trial.params["x"] for trial in kept]
    assert len(kept) == 50
    assert numbers == sorted(set(numbers))
    feasible = [trial for trial in trials if trial.constraints["latency_ms"] <= 0]
    front = [
        one.params["x"]
        for one in feasible
        if not any(o.values[0] > one.values[0] and o.values[1] < one.values[1] for o in feasible)
    ]
    assert 3 <= len(front) <= 20
    assert set(front) <= set(numbers), "the feasible front is kept whole"
    assert any(trials[number].constraints["latency_ms"] > 0 for number in numbers), "and others are there to compare"
    assert [trial.params["x"] for trial in thinned(trials, directions, 50, np.random.default_rng(1))] == numbers


@pytest.mark.parametrize("seed", range(6))
def test_every_trial_is_told_exactly_once_whatever_happens(config: StudyConfig, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = _with(config, sampler=SAMPLERS[seed % 3], trials=15)
    path = tmp_path / "ledger.db"
    done = False
    while not done:
        with _study(config, path) as study:
            open_trials: list[Question] = []
            for _ in range(int(rng.integers(1, 12))):  # then the driver dies
                question = study.ask() if len(open_trials) < 3 else None
                if question is not None:
                    open_trials.append(question)
                elif open_trials:
                    question = open_trials.pop(int(rng.integers(len(open_trials))))
                    study.report(question.number, 1, {"val_f1": 0.2})
                    study.tell(question.number, _judge(question))
            done = study.finished
    with Ledger.open(path, readonly=True) as ledger:
        events = ledger.events()
    asked = [event.number for event in events if isinstance(event, TrialAsked)]
    told = [event.number for event in events if isinstance(event, TrialTold)]
    assert asked == list(range(15))
    assert sorted(told) == asked


def test_the_first_trials_cover_every_choice(config: StudyConfig, tmp_path: Path) -> None:
    with _study(_with(config), tmp_path / "l.db") as study:
        candidates = [study.ask().candidate for _ in range(5)]
    assert {c.architecture.name for c in candidates} == set(config.space.architecture)
    assert {c.compression.quantization for c in candidates} == set(config.space.quantization)


def test_open_trials_are_handed_out_again_first_in_their_order(config: StudyConfig, tmp_path: Path) -> None:
    config = _with(config)
    with _study(config, tmp_path / "l.db") as study:
        questions = [study.ask() for _ in range(4)]
        study.tell(1, _complete())
    with _study(config, tmp_path / "l.db") as study:
        assert [study.ask() for _ in range(3)] == [questions[0], questions[2], questions[3]]
        assert study.ask().number == 4


def test_a_trial_is_told_once(config: StudyConfig, tmp_path: Path) -> None:
    with _study(_with(config), tmp_path / "l.db") as study:
        study.ask()
        study.tell(0, _complete())
        with pytest.raises(StudyError, match="trial 0 is not open"):
            study.tell(0, _complete())
        with pytest.raises(StudyError, match="trial 7 is not open"):
            study.tell(7, _complete())


@pytest.mark.parametrize("broken", [{"f1": math.nan}, {"latency": math.inf}, None])
def test_an_objective_without_a_number_is_a_failure_with_a_reason(
    config: StudyConfig, tmp_path: Path, broken: dict[str, float] | None
) -> None:
    values = {"gap": 0.1, "f1": 0.5} if broken is None else {"f1": 0.5, "gap": 0.1, "latency": 50.0} | broken
    with _study(_with(config), tmp_path / "l.db") as study:
        study.ask()
        outcome = study.tell(0, Outcome(state="complete", values=values))
    name = "latency" if broken is None else next(iter(broken))
    assert (outcome.state, outcome.reason) == ("failed", f"no value for {name}")
    with Ledger.open(tmp_path / "l.db", readonly=True) as ledger:
        assert ledger.record().trials[0].outcome == outcome


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_candidate_is_evaluated_twice_and_known_ones_are_answered_from_the_ledger(
    config: StudyConfig, tmp_path: Path, sampler: str
) -> None:
    config = _with(_tiny(config), sampler=sampler, trials=7)
    evaluated: list[str] = []
    with _study(config, tmp_path / "l.db") as study:
        running: list[Question] = []
        while not study.finished:
            question = study.ask() if len(running) < 2 else None
            if question is not None:
                evaluated.append(question.candidate.digest)
                running.append(question)
            elif running:
                question = running.pop(0)
                study.tell(question.number, _judge(question))
    assert len(evaluated) == len(set(evaluated)) == 4
    with Ledger.open(tmp_path / "l.db", readonly=True) as ledger:
        trials = ledger.record().trials
    twins = [t for t in trials.values() if t.outcome.reason.startswith("duplicate of trial")]
    assert len(twins) == 3
    for twin in twins:
        original = trials[int(twin.outcome.reason.split("duplicate of trial ")[1].split(":")[0])]
        assert original.candidate == twin.candidate
        assert original.outcome.state == twin.outcome.state


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_sampler_drives_thirty_trials_three_at_a_time_and_proposes_none_twice(
    config: StudyConfig, tmp_path: Path, sampler: str
) -> None:
    config = _with(config, sampler=sampler, startup=6, trials=30)
    config = config.model_copy(update={"objectives": ("f1", "latency")})
    seen: list[str] = []
    with _study(config, tmp_path / "l.db") as study:
        running: deque[Question] = deque()
        while not study.finished:
            while len(running) < 3 and (question := study.ask()) is not None:
                seen.append(question.candidate.digest)
                running.append(question)
            question = running.popleft()
            study.tell(question.number, _judge(question))
    assert len(seen) == len(set(seen)) == 30, "what runs counts as known"


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_the_sampler_learns_to_avoid_what_is_infeasible(config: StudyConfig, tmp_path: Path, sampler: str) -> None:
    config = _with(config, sampler=sampler, startup=10, trials=60)
    plain = config.sampler.model_copy(update={"cost_aware": False})  # else few of the first trials are infeasible
    config = config.model_copy(update={"sampler": plain})
    slow = {"efficientnet_b0", "mobilenetv3_large_100", "nasnet_mobile"}
    names: list[str] = []
    with _study(config, tmp_path / "l.db") as study:
        while question := study.ask():
            names.append(question.candidate.architecture.name)
            infeasible = Outcome(state="infeasible", values={"latency": 190.0}, violations={"latency_ms": 70.0})
            study.tell(question.number, infeasible if names[-1] in slow else _complete())
    early, late = (sum(name in slow for name in part) for part in (names[:20], names[-20:]))
    assert late < early


def test_a_changed_space_is_refused_on_replay(config: StudyConfig, tmp_path: Path) -> None:
    config = _with(config)
    with _study(config, tmp_path / "l.db") as study:
        study.ask()
    other = config.model_copy(
        update={"space": config.space.model_copy(update={"calibration_images": config.space.calibration_images + 1})}
    )
    with pytest.raises(StudyError, match="space of a study never changes"), _study(other, tmp_path / "l.db"):
        pass


def test_one_objective_is_a_study_too(config: StudyConfig, tmp_path: Path) -> None:
    config = _with(config, startup=2, trials=6).model_copy(update={"objectives": ("f1",)})
    with _study(config, tmp_path / "l.db") as study:
        while question := study.ask():
            study.tell(question.number, _judge(question))
        assert study.finished


def test_a_ledger_that_cannot_be_written_changes_nothing(config: StudyConfig, tmp_path: Path) -> None:
    config = _with(config)
    with _study(config, tmp_path / "l.db") as study:
        study.ask()
        study._ledger.close()
        with pytest.raises(LedgerError):
            study.tell(0, _complete())
    with _study(config, tmp_path / "l.db") as study:
        assert study.ask().number == 0

"""The staged plan: every network first, then the best one compressed; whatever happens, it comes to its end."""

import pytest

from search.errors import ConfigError
from search.ledger import Ledger
from search.objectives import Outcome
from search.record import StudyOpened
from search.staged import Staged, winner
from search.study import Study


@pytest.fixture(name="staged")
def _staged(config):
    space = config.space.model_copy(
        update={
            "architecture": ("mobilenetv2_100", "efficientnet_b0"),
            "input_size": (48,),
            "pruning": ("none", "structured", "magnitude"),
            "pruning_ratio": 0.5,
            "clusters": (None, 16),
            "quantization": ("float32", "int8"),
            "threads": (1,),
            "training": config.space.training.model_copy(update={"learning_rate": 1e-3}),
        }
    )
    sampler = config.sampler.model_copy(update={"name": "staged", "startup_trials": 0})
    budget = config.budget.model_copy(update={"trials": 100})
    return config.model_copy(update={"space": space, "sampler": sampler, "budget": budget})


def outcome(f1, state="complete"):
    return Outcome(
        state=state, reason="" if state == "complete" else "why", values={"f1": f1, "gap": 0.1, "latency": 9}
    )


def run(config, path, judge, stop=1000):
    """Ask and tell, two trials at a time, until *stop* are told; return the candidates by number."""
    if path.exists():
        ledger = Ledger.open(path)
    else:
        ledger = Ledger.create(
            path, StudyOpened(name="t", config=config.model_dump(mode="json"), config_digest=config.digest)
        )
    found = {}
    with ledger:
        study = Study(config, ledger)
        running, told = [], 0
        while not study.finished and told < stop:
            question = study.ask() if len(running) < 2 else None
            if question is not None:
                running.append(question)
                found[question.number] = question.candidate
            else:
                number, candidate = running.pop(0)
                study.tell(number, judge(number, candidate))
                told += 1
    return found


def test_networks_first_then_the_best_one_compressed(staged, tmp_path):
    best = {3: 0.9}
    found = run(staged, tmp_path / "l.db", lambda number, _: outcome(best.get(number, 0.5)))
    networks = [(c.architecture.name, c.training.population) for c in found.values()]
    assert networks[:4] == [
        ("mobilenetv2_100", "children"),
        ("mobilenetv2_100", "all"),
        ("efficientnet_b0", "children"),
        ("efficientnet_b0", "all"),
    ]
    assert set(networks[4:]) == {("efficientnet_b0", "all")}
    compressions = [(c.compression.pruning, c.compression.clusters, c.compression.quantization) for c in found.values()]
    assert compressions == [("none", None, "float32")] * 4 + [
        ("structured", None, "float32"),
        ("magnitude", None, "float32"),
        ("none", 16, "float32"),
        ("none", None, "int8"),
        ("magnitude", 16, "int8"),
    ]
    assert Staged(staged).size({}) == len(found) == len({c.digest for c in found.values()})


def test_a_study_that_is_taken_up_again_goes_on_with_the_same_plan(staged, tmp_path):
    judge = lambda number, _: outcome(0.1 * number)  # noqa: E731
    whole = run(staged, tmp_path / "whole.db", judge)
    parts = {}
    for _ in range(20):
        parts |= run(staged, tmp_path / "parts.db", judge, stop=1)
    assert parts == whole


def test_without_a_network_that_is_complete_there_is_nothing_to_compress(staged, tmp_path):
    found = run(staged, tmp_path / "l.db", lambda *_: outcome(0.5, "failed"))
    assert len(found) == 4
    assert Staged(staged).size({number: outcome(0.5, "failed") for number in range(4)}) == 4


def test_a_failed_network_is_no_winner():
    outcomes = {0: outcome(0.3), 1: outcome(0.9, "infeasible"), 2: outcome(0.6), 3: outcome(0.6), 4: outcome(0.99)}
    assert winner(outcomes, 4) == 2
    assert winner({}, 4) is None


def test_the_budget_still_bounds(staged, tmp_path):
    staged = staged.model_copy(update={"budget": staged.budget.model_copy(update={"trials": 5})})
    assert len(run(staged, tmp_path / "l.db", lambda *_: outcome(0.5))) == 5


def test_a_range_is_refused(config):
    sampler = config.sampler.model_copy(update={"name": "staged"})
    with pytest.raises(ConfigError, match="learning_rate is a range"):
        Staged(config.model_copy(update={"sampler": sampler}))

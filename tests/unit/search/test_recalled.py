"""What a ledger's trial answered, and among which values."""

import pytest
from optuna.trial import FixedTrial

from search.recalled import Recalled


def test_the_values_are_those_that_optuna_would_note() -> None:
    params = {"clusters": "none", "epochs": 3, "rate": 1e-3, "share": 0.25}
    trials = Recalled(params), FixedTrial(params)
    for trial in trials:
        trial.suggest_categorical("clusters", ("none", 16))
        trial.suggest_int("epochs", 1, 9, step=2)
        trial.suggest_float("rate", 1e-4, 1e-2, log=True)
        trial.suggest_float("share", 0.0, 1.0, step=0.25)
    assert trials[0].asked == params == trials[1].params
    assert trials[0].distributions == trials[1].distributions


@pytest.mark.parametrize("answer", [16, 64, None])
def test_an_answer_outside_the_values_is_refused(answer: object) -> None:
    with pytest.raises(KeyError):
        Recalled({"clusters": answer}).suggest_categorical("clusters", ("none", 32))
    with pytest.raises(KeyError):
        Recalled({"epochs": 10}).suggest_int("epochs", 1, 9)
    with pytest.raises(KeyError):
        Recalled({"rate": 1.0}).suggest_float("rate", 1e-4, 1e-2, log=True)

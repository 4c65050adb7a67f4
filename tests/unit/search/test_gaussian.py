"""Gaussian processes: what few trials teach, how sure they are, and who is kept apart from what runs."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from search.gaussian import Columns, Known, fitted, predicted

type Floats = NDArray[np.float64]

CHOICES = Columns(choices=np.ones(3, dtype=bool), training=np.zeros(3, dtype=bool))
CUBE = np.array(list(itertools.product([0.0, 1.0], repeat=3)))
EFFECTS = np.array([0.4, 0.2, 0.1])
NOBODY = np.empty((0, 3))


def _asked(known: Known, at: Floats, running: Floats = NOBODY, seed: int = 0) -> tuple[Floats, Floats]:
    return predicted(known, at, running, 400, np.random.default_rng(seed))


def test_effects_that_add_up_are_told_for_what_nobody_tried() -> None:
    tried = CUBE[:5]  # all that lack the first choice, and one that has it
    draws, _ = _asked(Known(tried, tried @ EFFECTS, CHOICES), CUBE[5:])
    means = draws.mean(axis=1)
    assert np.argmax(means) == 2, "the best combination is the one with all three"
    assert means == pytest.approx(CUBE[5:] @ EFFECTS, abs=0.08)


def test_what_is_known_is_sure_and_what_is_not_is_unsure() -> None:
    known = Known(CUBE[:4], CUBE[:4] @ EFFECTS, CHOICES)
    draws, _ = _asked(known, CUBE)
    assert draws[:4].mean(axis=1) == pytest.approx(known.values, abs=0.03)
    assert draws[:4].std(axis=1).max() < draws[4:].std(axis=1).min() / 2


def test_many_children_of_two_trainings_say_little_about_a_third() -> None:
    """The first key is that of the training; the second, of its children, moves nothing by more than a thousandth."""
    rows = np.array([[training, child] for training in range(2) for child in range(4)], dtype=np.float64)
    values = np.repeat([0.5, 0.2], 4) + np.tile([0.0, 0.001, -0.001, 0.0], 2)
    columns = Columns(choices=np.array([True, True]), training=np.array([True, False]))
    others = np.array([[0.0, 5.0], [2.0, 0.0]])
    draws, _ = predicted(Known(rows, values, columns), others, np.empty((0, 2)), 400, np.random.default_rng(0))
    assert draws[0].mean() == pytest.approx(0.5, abs=0.03), "another child of the first"
    assert draws[0].std() < 0.03
    assert draws[1].std() > 0.06, "a third training may be anything"


def test_what_runs_is_believed_and_makes_its_neighbours_surer() -> None:
    known = Known(CUBE[:4], CUBE[:4] @ EFFECTS, CHOICES)
    alone, _ = _asked(known, CUBE[7:])
    beside, believed = _asked(known, CUBE[7:], running=CUBE[7:])
    assert beside.std() < alone.std() / 3
    assert beside.mean() == pytest.approx(believed[0], abs=0.02)


def test_numbers_near_each_other_are_alike() -> None:
    places = np.linspace(0.0, 1.0, 9)[:, None]
    line = Columns(choices=np.zeros(1, dtype=bool), training=np.zeros(1, dtype=bool))
    known = Known(places[::2], np.sin(3 * places[::2, 0]), line)
    draws, _ = predicted(known, places[1::2], np.empty((0, 1)), 100, np.random.default_rng(0))
    assert draws.mean(axis=1) == pytest.approx(np.sin(3 * places[1::2, 0]), abs=0.1)


def test_the_same_seed_gives_the_same_and_the_weights_add_up() -> None:
    known = Known(CUBE, CUBE @ EFFECTS - 0.35, CHOICES)
    one, other = (fitted(known, np.random.default_rng(3)) for _ in range(2))
    assert all((left == right).all() for left, right in zip(one.settings, other.settings, strict=True))
    assert one.weights.sum() == pytest.approx(1.0)
    assert (one.weights > 0).all()


def test_trials_that_all_gave_the_same_are_no_trouble() -> None:
    draws, _ = _asked(Known(CUBE[:3], np.zeros(3), CHOICES), CUBE)
    assert np.isfinite(draws).all()
    assert draws == pytest.approx(0.0, abs=1e-6)

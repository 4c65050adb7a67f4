"""Assets, identity, expression and picture together: they only make sense on the real head."""

import itertools

import numpy as np
import pytest

from fer_core.data.synthetic.assets import load_assets
from fer_core.data.synthetic.expression import ALWAYS, CLOSED, OPEN, sides, weights
from fer_core.data.synthetic.identity import APPEARANCES, draw_subject, eye_frame
from fer_core.data.synthetic.picture import Studio, vertex_normals
from fer_core.labels import EXPRESSIONS

SIZE = 64


@pytest.fixture(scope="module")
def studio():
    return Studio(load_assets())


def person(studio, group="EA", kind="child", sex="F", seed=1):
    return draw_subject(studio.assets, "x", group=group, kind=kind, sex=sex, seed=(seed,))


def photograph(studio, who, expression="neutral", *, mouth_open=False, seed=5):
    rng = np.random.default_rng(seed)
    return studio.photograph(who, expression, mouth_open=mouth_open, size=SIZE, rng=rng)


def test_every_unit_of_every_recipe_exists(studio):
    for recipe in (*ALWAYS.values(), *OPEN.values(), *CLOSED.values()):
        for unit in recipe:
            assert any(name in studio.unit_index for name in sides(unit)), unit


def test_every_expression_moves_other_units(studio):
    poses = {
        (expression, mouth_open): weights(
            expression, mouth_open=mouth_open, names=studio.unit_index, rng=np.random.default_rng(0)
        )
        for expression in EXPRESSIONS
        for mouth_open in (False, True)
    }
    for (one, first), (other, second) in itertools.combinations(poses.items(), 2):
        if one[0] != other[0]:
            assert np.abs(first - second).max() > 0.3, (one, other)


def test_open_mouths_drop_the_jaw(studio):
    jaw = studio.unit_index["jawOpen"]
    for expression in EXPRESSIONS:
        drawn = weights(expression, mouth_open=True, names=studio.unit_index, rng=np.random.default_rng(0))
        assert drawn[jaw] >= 0.1


def test_a_subject_is_the_same_whenever_it_is_drawn(studio):
    one, same, other = person(studio), person(studio), person(studio, seed=2)
    assert (one.vertices == same.vertices).all()
    assert one.style == same.style
    assert np.abs(one.vertices - other.vertices).max() > 0.02


def test_subjects_are_in_units_of_the_distance_between_the_eyes(studio):
    for group, kind in itertools.product(APPEARANCES, ("child", "adult")):
        middle, scale = eye_frame(studio.assets, person(studio, group, kind).vertices)
        assert np.allclose(middle, 0, atol=1e-4)
        assert scale == pytest.approx(1, abs=1e-4)


def test_children_have_shorter_faces_than_adults(studio):
    def chin(kind):
        return np.mean([-person(studio, kind=kind, seed=seed).vertices[studio.chin, 1] for seed in range(12)])

    assert chin("child") < chin("adult") - 0.06


def test_groups_differ_in_skin(studio):
    tone = {g: np.mean([person(studio, g, seed=seed).skin.mean() for seed in range(12)]) for g in APPEARANCES}
    assert tone["AA"] < tone["SA"] < tone["LA"] < tone["EA"]


def test_normals_point_outwards(studio):
    base = studio.place[studio.assets.part == 0]
    normals = vertex_normals(studio.place, studio.assets.triangles)[studio.assets.part == 0]
    crown, tip = base[:, 1].argmax(), np.argmin(np.linalg.norm(base - [0, -0.6, 0.71], axis=1))
    assert normals[crown, 1] > 0.8
    assert normals[tip, 2] > 0.6


def test_pictures_are_repeatable_and_show_the_expression(studio):
    who = person(studio)
    neutral = photograph(studio, who)
    assert neutral.shape == (SIZE, SIZE, 3)
    assert neutral.dtype == np.uint8
    assert neutral.std() > 15
    assert (neutral == photograph(studio, who)).all()
    assert (neutral != photograph(studio, who, "surprise", mouth_open=True)).mean() > 0.2

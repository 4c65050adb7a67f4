from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_core.data.adapters.cafe import parse_name
from fer_core.data.faces import Example
from fer_core.data.synthetic.plan import CHILDREN_BY_GROUP, POSES, RenderOptions, apportion, plan


@given(st.integers(0, 400))
def test_seats_are_proportional_and_none_is_lost(count):
    seats = Counter(apportion(count, CHILDREN_BY_GROUP))
    assert seats.total() == count
    for group, size in CHILDREN_BY_GROUP.items():
        assert abs(seats[group] - count * size / 154) < 1


def test_the_default_evaluation_set_has_the_shape_of_cafe(tmp_path):
    people = [person for person in plan(RenderOptions()) if person.photos[0].path.startswith("cafe/")]
    assert Counter(person.group for person in people) == CHILDREN_BY_GROUP
    assert Counter(person.sex for person in people) == {"F": 90, "M": 64}
    assert {person.kind for person in people} == {"child"}
    assert sum(len(person.photos) for person in people) == pytest.approx(1192, abs=60)
    for person in people:
        for photo in person.photos:
            example = parse_name(tmp_path / photo.path)
            assert isinstance(example, Example)
            assert (example.expression, example.mouth_open) == (photo.expression, photo.mouth_open)
            assert example.subject == person.name


def test_nobody_and_no_picture_is_in_two_sets():
    people = plan(RenderOptions(children=20, train_children=15, train_adults=15))
    photos = [photo for person in people for photo in person.photos]
    for unique in (
        [p.seed for p in people],
        [p.name for p in people],
        [p.path for p in photos],
        [p.seed for p in photos],
    ):
        assert len(set(unique)) == len(unique)
    assert {len(person.photos) for person in people[20:]} == {len(POSES)}


def test_there_are_thirteen_poses_and_surprise_is_open():
    assert len(POSES) == 13
    assert [mouth_open for expression, mouth_open in POSES if expression == "surprise"] == [True]

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_core.data.faces import FaceSet
from fer_core.data.splits import halves, validation_split
from fer_core.errors import DataError

people = st.lists(st.integers(0, 40), min_size=2, max_size=150).filter(lambda who: len(set(who)) > 1)


def annotate(who):
    return np.array([f"s{number}" for number in who]), np.array(["ABC"[number % 3] for number in who])


def faces_of(subjects, groups, labels):
    n = len(subjects)
    return FaceSet(
        images=np.zeros((n, 2, 2, 3), dtype=np.uint8),
        labels=np.asarray(labels, dtype=np.int64),
        subjects=np.asarray(subjects),
        groups=np.asarray(groups),
        populations=np.full(n, "children"),
        mouth_open=np.full(n, -1, dtype=np.int8),
        digest="d",
    )


@given(people, st.integers(0, 5))
def test_halves_share_no_subject_and_lose_no_image(who, seed):
    subjects, groups = annotate(who)
    search, report = halves(subjects, groups, seed)
    assert (search ^ report).all()
    assert not set(subjects[search]) & set(subjects[report])


@given(people, st.integers(0, 5))
def test_halves_are_even_in_every_group_and_overall(who, seed):
    subjects, groups = annotate(who)
    search, report = halves(subjects, groups, seed)
    for chosen in [groups == name for name in set(groups.tolist())] + [np.ones(len(groups), dtype=bool)]:
        assert abs(len(set(subjects[search & chosen])) - len(set(subjects[report & chosen]))) <= 1


@given(people, st.randoms())
def test_halves_do_not_depend_on_the_order_of_files(who, random):
    subjects, groups = annotate(who)
    order = np.array(random.sample(range(len(who)), len(who)))
    search, _ = halves(subjects, groups)
    shuffled, _ = halves(subjects[order], groups[order])
    assert (search[order] == shuffled).all()


def test_another_seed_gives_other_halves():
    subjects, groups = annotate(range(41))
    assert (halves(subjects, groups, 0)[0] != halves(subjects, groups, 1)[0]).any()


@given(people, st.floats(0.05, 0.95), st.integers(0, 5))
def test_validation_shares_no_subject_and_neither_part_is_empty(who, fraction, seed):
    subjects, groups = annotate(who)
    train, validation = validation_split(faces_of(subjects, groups, np.arange(len(who)) % 7), fraction, seed)
    assert (train ^ validation).all()
    assert train.any()
    assert validation.any()
    assert not set(subjects[train]) & set(subjects[validation])


def test_validation_of_unknown_subjects_is_stratified_by_class():
    labels = np.repeat(np.arange(7), [400, 43, 410, 720, 490, 480, 317])
    subjects = [f"0:/{number}.jpg" for number in range(len(labels))]
    _, validation = validation_split(faces_of(subjects, [""] * len(labels), labels), 0.15)
    for label in range(7):
        count = (labels == label).sum()
        assert abs((validation & (labels == label)).sum() - 0.15 * count) <= 1


def test_one_subject_cannot_be_split():
    with pytest.raises(DataError, match="at least two"):
        halves(["a", "a"], ["x", "x"])

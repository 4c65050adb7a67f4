import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_core.data.faces import FaceSet
from fer_core.data.splits import halves, split_of, store_split, validation_split
from fer_core.errors import DataError

people = st.lists(st.integers(0, 40), min_size=2, max_size=150).filter(lambda who: len(set(who)) > 1)


def annotate(who):
    return np.array([f"s{number}" for number in who]), np.array(["ABC"[number % 3] for number in who])


def faces_of(subjects, groups, labels, splits=()):
    n = len(subjects)
    return FaceSet(
        images=np.zeros((n, 2, 2, 3), dtype=np.uint8),
        labels=np.asarray(labels, dtype=np.int64),
        subjects=np.asarray(subjects),
        groups=np.asarray(groups),
        populations=np.full(n, "children"),
        mouth_open=np.full(n, -1, dtype=np.int8),
        digest="d",
        splits=np.asarray(splits, dtype=np.str_),
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


@given(people, st.integers(0, 5), st.data())
def test_halves_are_even_among_those_of_a_group_who_show_the_same_classes(who, seed, data):
    subjects, groups = annotate(who)
    labels = np.array(data.draw(st.lists(st.integers(0, 6), min_size=len(who), max_size=len(who))))
    search, report = halves(subjects, groups, seed, labels=labels)
    assert (search ^ report).all()
    assert not set(subjects[search]) & set(subjects[report])
    for group in set(groups.tolist()):
        alike = {}
        for subject in set(subjects[groups == group].tolist()):
            alike.setdefault(frozenset(labels[subjects == subject].tolist()), set()).add(subject)
        for those in (*alike.values(), set().union(*alike.values())):
            assert abs(len(those & set(subjects[search])) - len(those & set(subjects[report]))) <= 1


@given(st.lists(st.sampled_from(["train", "validation", "test", ""]), min_size=4, max_size=60), st.integers(0, 3))
def test_where_nobody_is_known_the_official_split_holds(parts, seed):
    parts = ["train", "validation", "train", "train", *parts]
    subjects = [f"0:/{number}.jpg" for number in range(len(parts))]
    faces = faces_of(subjects, [""] * len(parts), np.arange(len(parts)) % 7, parts)
    train, validation = validation_split(faces, seed=seed)
    assert (train ^ validation).all()
    stated = faces.splits != ""
    assert (validation[stated] == (faces.splits[stated] == "validation")).all()


def test_people_are_split_by_person_whatever_the_set_says_and_sources_are_told_apart():
    subjects = [*(f"kdef:{number // 4}" for number in range(40)), *(f"1:/{number}" for number in range(40))]
    splits = ["train", "validation"] * 20 + ["train"] * 40
    faces = faces_of(subjects, [""] * 80, np.arange(80) % 7, splits)
    train, validation = validation_split(faces)
    assert not set(faces.subjects[train]) & set(faces.subjects[validation])
    assert 0 < validation[40:].sum() < 20


def test_a_split_is_stored_once_under_its_digest(tmp_path):
    faces = faces_of(list("aabbcc"), ["x"] * 6, [0, 1, 0, 1, 0, 1])
    train, validation = validation_split(faces)
    split = split_of("validation", faces, {"train": train, "validation": validation})
    path = store_split(split, tmp_path)
    written = path.stat().st_mtime_ns
    assert store_split(split, tmp_path) == path
    assert path.stat().st_mtime_ns == written
    told = json.loads(path.read_text())
    assert told["parts"]["train"]["images"] + told["parts"]["validation"]["images"] == 6
    assert set(told["parts"]["train"]["subjects"]) | set(told["parts"]["validation"]["subjects"]) == set("abc")
    other = split_of("validation", faces, {"train": validation, "validation": train})
    assert other.digest != split.digest

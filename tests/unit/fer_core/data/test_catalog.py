import re
from pathlib import Path
from typing import get_args

import pytest
from known_sets import truth

from fer_core.data.catalog import card, catalog, populations_of
from fer_core.data.sources import DataSource, Layout
from fer_core.labels import EXPRESSIONS

NAMES = get_args(Layout)


@pytest.mark.parametrize("name", NAMES)
def test_every_layout_has_a_card_whose_numbers_agree_with_each_other(name):
    about = card(name)
    assert about.name == name
    for line in (about.title, about.about, about.licence, about.access, about.citation, about.subjects, about.ages):
        assert line.strip()
    assert about.layouts
    expected = about.expected
    if expected is not None and expected.images is not None and expected.by_class:
        assert sum(expected.by_class.values()) <= expected.images
    if expected is not None and expected.by_group and expected.subjects:
        assert sum(expected.by_group.values()) == expected.subjects


def test_no_card_is_without_a_layout():
    cards = {path.stem for path in Path(__file__).parents[4].joinpath("fer_core/data/cards").glob("*.toml")}
    assert cards == set(NAMES) == {about.name for about in catalog()}


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"folders", "table"}))
def test_labels_reach_expressions_and_nothing_is_misspelt(name):
    labels = card(name).labels
    assert len(set(labels.values()) & set(EXPRESSIONS)) >= 4
    assert set(labels) == {code.lower() for code in labels}
    near = {"angry", "happy", "sad", "fearful", "disgusted", "surprised", "happines", "suprise"}
    assert not near & set(labels.values())


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"folders", "table"}))
def test_expected_classes_are_those_that_labels_can_reach(name):
    about = card(name)
    if about.expected is not None and about.expected.by_class:
        assert set(about.expected.by_class) == set(about.labels.values()) & set(EXPRESSIONS)


@pytest.mark.parametrize("name", ["rafd", "nimh-chefs", "ddcf", "defss", "faces"])
def test_marks_and_names_understand_the_same_true_names(name):
    about = card(name)
    for row in truth(name):
        assert re.search(about.names.pattern, row["name"], re.IGNORECASE), row["name"]
        assert re.search(about.layouts[0].marks[0].path, row["name"], re.IGNORECASE), row["name"]


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"layout": "cafe"}, ("children",)),
        ({"layout": "kdef"}, ("adults",)),
        ({"layout": "ddcf"}, ("children", "adults")),
        ({"layout": "folders", "population": "adults"}, ("adults",)),
        ({"layout": "fer2013"}, ("all",)),
        ({"layout": "fer2013", "population": "adults", "ages": "ages.csv"}, ("all",)),
        ({"layout": "raf-db"}, ("all",)),
    ],
)
def test_whom_a_source_may_show(fields, shown):
    assert populations_of(DataSource(path=Path("x"), **fields)) == shown

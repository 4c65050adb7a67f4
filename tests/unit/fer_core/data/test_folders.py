import re

import pytest

from fer_core.data.folders import list_folders
from fer_core.data.synthetic.plan import SUBJECT_PATTERN
from fer_core.errors import DataError


def tree(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_common_spellings_mean_the_seven_expressions(tmp_path):
    spellings = ("angry", "Anger", "disgusted", "afraid", "happy", "joy", "neutral", "sadness", "surprised")
    tree(tmp_path, *(f"train/{word}/1.jpg" for word in spellings))
    listing = list_folders(tmp_path)
    assert {example.path.parent.name: example.expression for example in listing.examples} == {
        "angry": "anger",
        "Anger": "anger",
        "disgusted": "disgust",
        "afraid": "fear",
        "happy": "happiness",
        "joy": "happiness",
        "neutral": "neutral",
        "sadness": "sadness",
        "surprised": "surprise",
    }
    assert listing.skipped == ()


def test_unknown_labels_are_skipped_and_counted(tmp_path):
    tree(tmp_path, "train/happy/1.png", "train/contempt/1.jpg", "train/contempt/2.jpg", "train/happy/notes.txt")
    listing = list_folders(tmp_path)
    assert len(listing.examples) == 1
    assert len(listing.skipped) == 2
    assert all("'contempt' is none of the seven" in skipped.reason for skipped in listing.skipped)


def test_the_split_and_the_population_are_as_told(tmp_path):
    tree(tmp_path, "train/happy/1.jpg", "validation/sad/2.jpg")
    (example,) = list_folders(tmp_path, split="validation", population="adults").examples
    assert (example.expression, example.population, example.subject) == ("sadness", "adults", "")
    (unknown,) = list_folders(tmp_path).examples
    assert unknown.population == ""


def test_a_pattern_tells_subject_sex_and_group(tmp_path):
    tree(tmp_path, "train/happy/C0007_F-EA_03.jpg", "train/happy/stray.jpg")
    listing = list_folders(tmp_path, subject_pattern=SUBJECT_PATTERN)
    (example,) = listing.examples
    assert (example.subject, example.sex, example.group) == ("C0007", "F", "EA")
    assert "does not match subject_pattern" in listing.skipped[0].reason


def test_what_is_missing_is_named(tmp_path):
    tree(tmp_path, "test/happy/1.jpg", "odd/images/1.jpg")
    with pytest.raises(DataError, match=re.escape("(there is: odd, test)")):
        list_folders(tmp_path)
    with pytest.raises(DataError, match="holds no usable image"):
        list_folders(tmp_path, split="odd")

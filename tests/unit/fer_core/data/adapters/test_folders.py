import re
from pathlib import Path

import pytest

from fer_core.data.adapters.folders import list_folders
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


def test_unknown_labels_are_dropped_and_counted(tmp_path):
    tree(tmp_path, "train/happy/1.png", "train/contempt/1.jpg", "train/contempt/2.jpg", "train/happy/notes.txt")
    listing = list_folders(tmp_path)
    assert len(listing.examples) == 1
    (dropped,) = listing.dropped
    assert (dropped.label, dropped.count) == ("contempt", 2)
    assert [Path(path).name for path in dropped.paths] == ["1.jpg", "2.jpg"]


def test_the_split_is_as_told_and_all_takes_every_subfolder(tmp_path):
    tree(tmp_path, "train/happy/1.jpg", "val/sad/2.jpg", "odd/fear/3.jpg")
    (example,) = list_folders(tmp_path, split="validation").examples
    assert (example.expression, example.subject, example.split) == ("sadness", "", "validation")
    everything = list_folders(tmp_path, split="all").examples
    assert {e.expression: e.split for e in everything} == {
        "happiness": "train",
        "sadness": "validation",
        "fear": "odd",
    }


def test_class_folders_may_lie_in_the_folder_itself(tmp_path):
    tree(tmp_path, "happy/1.jpg", "sad/2.jpg")
    assert [(e.expression, e.split) for e in list_folders(tmp_path).examples] == [("happiness", ""), ("sadness", "")]


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

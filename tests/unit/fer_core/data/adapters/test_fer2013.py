import pytest
from known_sets import PIXELS, image, plant, text

from fer_core.data.adapters.fer2013 import list_fer2013, list_ferplus, majority
from fer_core.data.catalog import card
from fer_core.errors import DataError

LABELS = card("fer2013").labels
WORDS = card("ferplus").labels
VOTES = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def test_rows_that_cannot_be_used_are_told_with_their_line_and_keep_their_number(tmp_path):
    rows = [f"3,{PIXELS},Training", f"9,{PIXELS},Training", "3,1 2 3,Training", f"4,{PIXELS},Homework", "5"]
    text(tmp_path / "fer2013.csv", "\ufeffemotion,pixels,Usage", *rows, f"6,{PIXELS},PrivateTest")
    listing = list_fer2013(tmp_path, LABELS)
    assert [(e.frame, e.expression, e.split) for e in listing.examples] == [
        (0, "happiness", "train"),
        (5, "neutral", "test"),
    ]
    assert [(s.path.rpartition(":")[2], s.reason.split(",")[0]) for s in listing.skipped] == [
        ("3", "emotion '9' is none of 0"),
        ("4", "has 3 pixels"),
        ("5", "Usage 'Homework' is none of Training"),
        ("6", "has 1 pixels"),
    ]


def test_columns_may_stand_in_another_order_with_blanks(tmp_path):
    text(tmp_path / "fer2013" / "icml_face_data.csv", "emotion, Usage, pixels", f"0,PublicTest,{PIXELS}")
    (example,) = list_fer2013(tmp_path, LABELS).examples
    assert (example.expression, example.split, example.frame) == ("anger", "validation", 0)


def test_a_table_without_a_column_is_refused_with_what_is_there(tmp_path):
    text(tmp_path / "fer2013.csv", "label,pixels,Usage", f"0,{PIXELS},Training")
    with pytest.raises(DataError, match=r"has no column 'emotion' .its first line says: label, pixels, Usage"):
        list_fer2013(tmp_path, LABELS)


def test_in_folders_the_name_of_a_file_tells_its_official_split(tmp_path):
    names = (
        "test/happy/PublicTest_1.jpg",
        "test/happy/PrivateTest_2.jpg",
        "train/sad/Training_3.jpg",
        "train/sad/4.jpg",
    )
    for name in names:
        image(tmp_path / name)
    splits = {example.path.name: example.split for example in list_fer2013(tmp_path, LABELS).examples}
    assert splits == {
        "PublicTest_1.jpg": "validation",
        "PrivateTest_2.jpg": "test",
        "Training_3.jpg": "train",
        "4.jpg": "train",
    }


@pytest.mark.parametrize(
    ("votes", "word"),
    [
        ({"fear": 6, "anger": 4}, "fear"),
        ({"fear": 5, "anger": 5}, ""),
        ({"fear": 4, "anger": 3, "nf": 3}, ""),
        ({"fear": 4, "anger": 3, "a": 1, "b": 1, "c": 1}, "fear"),  # single votes are set aside
        ({"fear": 1, "anger": 1}, ""),
        ({"fear": 0}, ""),
    ],
)
def test_majority_is_more_than_half_of_the_votes_that_are_not_single(votes, word):
    assert majority(votes) == word


def test_ferplus_joins_votes_by_row_and_drops_what_is_no_expression(tmp_path):
    plant("ferplus", tmp_path)
    text(tmp_path / "fer2013.csv", "emotion,pixels,Usage", *[f"0,{PIXELS},Training"] * 6)
    votes = [
        "0,9,0,0,0,0,0,0,0,1",
        "0,0,0,0,0,0,0,9,1,0",
        "5,5,0,0,0,0,0,0,0,0",
        "0,0,0,0,0,0,0,0,0,10",
        "x,0,0,0,0,0,0,0,0,0",
    ]
    text(
        tmp_path / "fer2013new.csv",
        VOTES,
        *(f"Training,,{vote}" for vote in votes),
        "Training,a.png,0,0,0,0,0,2,0,1,0,0",
    )
    listing = list_ferplus(tmp_path, WORDS)
    assert [(e.frame, e.expression) for e in listing.examples] == [(0, "happiness"), (5, "disgust")]
    assert {d.label: d.paths for d in listing.dropped} == {
        "contempt": (f"{tmp_path / 'fer2013.csv'}#1",),
        "no majority": (f"{tmp_path / 'fer2013.csv'}#2",),
        "no face": (f"{tmp_path / 'fer2013.csv'}#3",),
    }
    assert listing.skipped[0].reason == "votes are no numbers"


@pytest.mark.parametrize("more", ["rows", "votes"])
def test_ferplus_refuses_tables_of_other_lengths(tmp_path, more):
    rows, votes = (3, 2) if more == "rows" else (2, 3)
    text(tmp_path / "fer2013.csv", "emotion,pixels,Usage", *[f"0,{PIXELS},Training"] * rows)
    text(tmp_path / "fer2013new.csv", VOTES, *["Training,,0,9,0,0,0,0,0,0,0,1"] * votes)
    with pytest.raises(DataError, match="they are joined by row"):
        list_ferplus(tmp_path, WORDS)

"""AffectNet, RAF-DB, ExpW, CK+, EmoReact: what their own label files say, and what is wrong in them."""

import numpy as np
import pytest
from known_sets import image, plant, text, video

from fer_core.data.adapters.affectnet import list_affectnet
from fer_core.data.adapters.ckplus import list_ckplus
from fer_core.data.adapters.emoreact import list_emoreact
from fer_core.data.adapters.expw import list_expw
from fer_core.data.adapters.rafdb import list_rafdb
from fer_core.data.catalog import card
from fer_core.data.listing import list_source
from fer_core.data.recognise import recognise
from fer_core.data.sources import DataSource
from fer_core.errors import DataError

BAD_LINE = "{!r} is not: picture, face, top, left, right, bottom, confidence, label 0-6"


def lines_of(skipped):
    return {item.path.rpartition(":")[2]: item.reason for item in skipped}


def test_affectnet_reads_both_tables_with_boxes_and_drops_four_labels(tmp_path):
    plant("affectnet", tmp_path)
    listing = list_affectnet(tmp_path, card("affectnet").labels)
    assert [e.expression for e in listing.examples] == [
        "neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "happiness",
    ]  # fmt: skip
    assert [e.split for e in listing.examples] == ["train"] * 7 + ["validation"]
    assert listing.examples[0].box == (1, 2, 6, 6)
    assert {d.label for d in listing.dropped} == {"contempt", "none", "uncertain", "no face"}
    assert listing.skipped == ()


def test_affectnet_tells_missing_images_and_bad_rows(tmp_path):
    plant("affectnet", tmp_path)
    table = tmp_path / "Manually_Annotated_file_lists" / "training.csv"
    table.write_text(table.read_text().replace("2/02a1.jpg,1,2,5,4", "2/02a1.jpg,,,,").replace("-0.2", "-0.2", 1))
    with table.open("a") as stream:
        stream.write("9/gone.jpg,1,2,3,4,,1,0,0\n0/00a1.jpg,1,2,3,4,,77,0,0\n")
    listing = list_affectnet(tmp_path, card("affectnet").labels)
    assert listing.examples[2].box is None
    assert {line: reason.split(":")[0] for line, reason in lines_of(listing.skipped).items()} == {
        "13": "no such image",
        "14": "expression '77' is none of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10",
    }
    table.unlink()
    table.with_name("validation.csv").unlink()
    with pytest.raises(DataError, match="holds no Manually_Annotated_file_lists"):
        list_affectnet(tmp_path, card("affectnet").labels)


def test_affectnet_as_released_later_with_one_array_an_image(tmp_path):
    for number, code in enumerate(("1", "7", "x")):
        image(tmp_path / "train_set" / "images" / f"{number}.jpg")
        (tmp_path / "train_set" / "annotations").mkdir(exist_ok=True)
        np.save(tmp_path / "train_set" / "annotations" / f"{number}_exp.npy", np.array(code))
    image(tmp_path / "val_set" / "images" / "9.jpg")
    listing = list_affectnet(tmp_path, card("affectnet").labels)
    assert [(e.expression, e.split) for e in listing.examples] == [("happiness", "train")]
    assert [d.label for d in listing.dropped] == ["contempt"]
    assert [item.reason for item in listing.skipped] == [
        "its label 2_exp.npy is missing or no number from 0 to 10",
        "its label 9_exp.npy is missing or no number from 0 to 10",
    ]
    assert recognise(tmp_path).layout == "affectnet"


def test_expw_gives_every_face_of_a_picture_its_box(tmp_path):
    plant("expw", tmp_path)
    with (tmp_path / "data" / "label" / "label.lst").open("a") as stream:
        stream.write("afraid_child_0.jpg 0 1 2 7 6 60.5 9\nafraid_child_0.jpg 0 8 9 7 6 60.5 1\n")
        stream.write("gone.jpg 0 1 2 7 6 60.5 1\nshort.jpg 1\nwith blanks.jpg 0 1 2 7 6 60.5 3\n")
    image(tmp_path / "data" / "image" / "origin" / "with blanks.jpg")
    listing = list_expw(tmp_path, card("expw").labels)
    assert [e.expression for e in listing.examples] == [
        "anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "happiness",
    ]  # fmt: skip
    assert listing.examples[0].path == listing.examples[1].path
    assert {e.box for e in listing.examples} == {(2, 1, 7, 6)}  # left, top, right, bottom; the list has the top first
    assert {line: reason for line, reason in lines_of(listing.skipped).items() if "picture:" not in reason} == {
        "8": BAD_LINE.format("afraid_child_0.jpg 0 1 2 7 6 60.5 9"),
        "9": "the box 8 9 7 6 is none",
        "11": BAD_LINE.format("short.jpg 1"),
    }
    assert lines_of(listing.skipped)["10"].startswith("no such picture: ")


def test_raf_db_takes_the_original_pictures_where_no_aligned_ones_are(tmp_path):
    text(
        tmp_path / "EmoLabel" / "list_patition_label.txt", "train_00001.jpg 5", "test_0001.jpg 8", "test_0002.jpg 1", ""
    )
    image(tmp_path / "Image" / "original" / "train_00001.jpg")
    listing = list_rafdb(tmp_path, card("raf-db").labels)
    (example,) = listing.examples
    assert (example.expression, example.split, example.age, example.group) == ("sadness", "train", None, "")
    assert {line: reason.split(":")[0] for line, reason in lines_of(listing.skipped).items()} == {
        "2": "'test_0001.jpg 8' is not of the form 'train_00001.jpg 5'",
        "3": "no such image",
        "4": "'' is not of the form 'train_00001.jpg 5'",
    }
    assert listing.notes == ()


def test_raf_db_in_numbered_folders(tmp_path):
    for name in (
        "DATASET/train/4/train_00003_aligned.jpg",
        "DATASET/test/1/test_0007_aligned.jpg",
        "DATASET/cover.jpg",
    ):
        image(tmp_path / name)
    listing = list_rafdb(tmp_path, card("raf-db").labels)
    assert {(e.expression, e.split) for e in listing.examples} == {("happiness", "train"), ("surprise", "test")}
    assert len(listing.skipped) == 1
    image(tmp_path / "DATASET" / "odd" / "cover.jpg")
    with pytest.raises(DataError, match="holds neither"):
        list_rafdb(tmp_path / "DATASET" / "odd", card("raf-db").labels)


@pytest.mark.parametrize(
    ("said", "frames", "reason"),
    [
        ("", 2, "holds no emotion"),
        ("9.0", 2, "holds no emotion"),
        ("inf", 2, "holds no emotion"),
        ("3.0", 1, "1 frame"),
    ],
)
def test_ck_plus_tells_labels_that_cannot_be_used(tmp_path, said, frames, reason):
    for number in range(frames):
        image(tmp_path / "cohn-kanade-images" / "S005" / "001" / f"S005_001_{number + 1:08d}.png")
    text(tmp_path / "Emotion" / "S005" / "001" / f"S005_001_{frames:08d}_emotion.txt", said)
    (skipped,) = list_ckplus(tmp_path, card("ck+").labels).skipped
    assert reason in skipped.reason


def test_ck_plus_without_labels_is_refused(tmp_path):
    image(tmp_path / "cohn-kanade-images" / "S005" / "001" / "S005_001_00000001.png")
    with pytest.raises(DataError, match="unpack the labels there too"):
        list_ckplus(tmp_path, card("ck+").labels)


def test_emoreact_tells_missing_and_broken_clips_and_incomplete_splits(tmp_path):
    text(tmp_path / "Labels" / "Train_names.txt", "'a_2.mp4'", "'gone_2.mp4'", "'b''s_2.mp4'", "'c_2.mp4'")
    happy = "0,0,0,1,0,0,0,0,5"
    text(tmp_path / "Labels" / "train_labels.text", happy, happy, happy, "0,0,maybe")
    video(tmp_path / "Data" / "Train" / "a_2.mp4")
    (tmp_path / "Data" / "Train" / "b's_2.mp4").write_bytes(b"no video")
    (tmp_path / "Data" / "Train" / "c_2.mp4").touch()
    listing = list_emoreact(tmp_path, card("emoreact").labels, rate=1.5)
    assert [(e.frame, e.rate, e.subject) for e in listing.examples] == [(n, 1.5, "a_2") for n in range(3)]
    reasons = [item.reason for item in listing.skipped]
    assert [reason.split(":")[0] for reason in reasons] == [
        "no such clip",
        "'0,0,maybe' does not begin with 8 times 0 or 1",
        "validation is incomplete",
        "test is incomplete",
        "cannot be read as a video",
    ]


def test_emoreact_refuses_lists_of_other_lengths_and_no_split_at_all(tmp_path):
    text(tmp_path / "Labels" / "Train_names.txt", "'a_2.mp4'")
    text(tmp_path / "Labels" / "train_labels.text")
    with pytest.raises(DataError, match=r"holds no Labels/Train_names.txt with"):
        list_emoreact(tmp_path, card("emoreact").labels, rate=2)
    (tmp_path / "Data" / "Train").mkdir(parents=True)
    with pytest.raises(DataError, match="joined by line"):
        list_emoreact(tmp_path, card("emoreact").labels, rate=2)


GARBAGE = b"\xff\xfe\x00" * 50


@pytest.mark.parametrize(
    ("layout", "file"),
    [
        ("raf-db", "basic/EmoLabel/list_patition_label.txt"),
        ("raf-db", "basic/Annotation/manual/train_00001_manu_attri.txt"),
        ("expw", "data/label/label.lst"),
        ("affectnet", "Manually_Annotated_file_lists/training.csv"),
        ("fer2013", "fer2013.csv"),
        ("ferplus", "fer2013new.csv"),
        ("emoreact", "Labels/Train_names.txt"),
        ("emoreact", "Labels/val_labels.text"),
        ("table", "frames.csv"),
    ],
)
def test_a_label_file_that_is_no_text_is_one_error_that_names_it(tmp_path, layout, file):
    plant(layout, tmp_path)
    (tmp_path / file).write_bytes(GARBAGE)
    with pytest.raises(DataError, match=f"{(tmp_path / file).name}: cannot be read as "):
        list_source(DataSource(layout=layout, path=tmp_path, split="all"))


def test_a_label_of_ck_plus_that_is_no_text_is_skipped(tmp_path):
    plant("ck+", tmp_path)
    label = next((tmp_path / "Emotion").rglob("*.txt"))
    label.write_bytes(GARBAGE)
    listing = list_ckplus(tmp_path, card("ck+").labels)
    assert [(item.path, item.reason) for item in listing.skipped] == [(str(label), "holds no emotion from 0 to 7")]


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "..", "//", "\\\\server\\share", "caf\u00e9/\U0001f600.jpg"])
def test_impossible_paths_in_a_table_are_missing_images(tmp_path, name):
    plant("table", tmp_path)
    text(tmp_path / "frames.csv", "path,expression", "faces/1.jpg,happy", f'"{name}",sad')
    listing = list_source(DataSource(layout="table", path=tmp_path))
    assert len(listing.examples) == 1
    assert "no such image" in listing.skipped[0].reason


def test_links_in_a_circle_end(tmp_path):
    plant("kdef", tmp_path / "set")
    (tmp_path / "set" / "KDEF" / "again").symlink_to(tmp_path / "set")
    assert recognise(tmp_path / "set").layout == "kdef"
    names = [e.path.name for e in list_source(DataSource(layout="kdef", path=tmp_path / "set")).examples]
    assert len(names) == len(set(names))

import shutil
from typing import get_args

import pytest
from known_sets import image, plant, text

from fer_core.data.recognise import judge, recognise
from fer_core.data.sources import Layout
from fer_core.errors import DataError


@pytest.mark.parametrize("layout", get_args(Layout))
def test_every_set_is_recognised_as_it_is_handed_out(tmp_path, layout):
    plant(layout, tmp_path / "set")
    (tmp_path / "set" / ".DS_Store").touch()
    text(tmp_path / "set" / "readme.txt", "hello")
    verdict = recognise(tmp_path / "set")
    assert (verdict.layout, verdict.folder) == (layout, tmp_path / "set")


@pytest.mark.parametrize("layout", ["kdef", "folders", "raf-db", "table"])
def test_a_set_in_a_folder_of_its_own_is_found_there(tmp_path, layout):
    plant(layout, tmp_path / "downloads" / "unpacked")
    verdict = recognise(tmp_path / "downloads")
    assert verdict.layout == layout
    if layout in {"folders", "table"}:
        assert verdict.folder == tmp_path / "downloads" / "unpacked"


def test_sets_side_by_side_are_listed_so_that_one_can_be_named(tmp_path):
    for layout in ("kdef", "folders", "emoreact"):
        plant(layout, tmp_path / "data" / layout)
    image(tmp_path / "data" / "folders" / "extra" / "happy" / "1.jpg")
    shutil.rmtree(tmp_path / "data" / "emoreact" / "Labels")
    for number in range(100):
        image(tmp_path / "data" / f"{number}.jpg")
    with pytest.raises(DataError, match=r"holds several sets, name one of their folders: folders in .*; kdef in "):
        recognise(tmp_path / "data")


def test_copies_in_folders_are_told_apart_from_folders_of_anything(tmp_path):
    for name in ("train/happy/Training_1.jpg", "test/sad/PrivateTest_2.jpg"):
        image(tmp_path / "kaggle" / name)
    for name in ("train/5/train_00001_aligned.jpg", "test/1/test_0001_aligned.jpg"):
        image(tmp_path / "raf" / name)
    assert recognise(tmp_path / "kaggle").layout == "fer2013"
    assert recognise(tmp_path / "raf").layout == "raf-db"


@pytest.mark.parametrize(
    ("layout", "gone", "missing"),
    [
        ("raf-db", "basic/Image", "Image/aligned/train_00001_aligned.jpg"),
        ("raf-db", "basic/EmoLabel", "EmoLabel/list_patition_label.txt"),
        ("affectnet", "Manually_Annotated_Images", "Manually_Annotated_Images/"),
        ("ck+", "Emotion", "Emotion/S005/001/S005_001_00000011_emotion.txt"),
        ("emoreact", "Labels", "Labels/train_labels.text; Labels/Train_names.txt"),
        ("expw", "data/image", "origin/<picture>.jpg"),
    ],
)
def test_what_the_nearest_layout_lacks_is_named(tmp_path, layout, gone, missing):
    plant(layout, tmp_path)
    shutil.rmtree(tmp_path / gone)
    with pytest.raises(DataError) as failure:
        recognise(tmp_path)
    message = str(failure.value)
    assert f"Nearest is {layout} (" in message
    assert f"missing: {missing}" in message
    assert f"'fer-data catalog {layout}'" in message


def test_a_table_without_the_right_columns_is_near_to_a_table(tmp_path):
    text(tmp_path / "frames.csv", "file,label", "1.jpg,happy")
    with pytest.raises(DataError, match=r"Nearest is table .*columns path and expression"):
        recognise(tmp_path)


def test_a_table_may_be_named_itself_whatever_its_columns(tmp_path):
    text(tmp_path / "frames.csv", "file,label", "1.jpg,happy")
    verdict = recognise(tmp_path / "frames.csv")
    assert (verdict.layout, verdict.folder, verdict.complete) == ("table", tmp_path / "frames.csv", True)


def test_holiday_pictures_are_nothing_and_packed_archives_are_mentioned(tmp_path):
    image(tmp_path / "holiday" / "beach.jpg")
    (tmp_path / "fer2013.tar.gz").touch()
    with pytest.raises(DataError, match=r"holds nothing of any known set; fer2013.tar.gz is still packed"):
        recognise(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        recognise(tmp_path / "nowhere")


def test_a_few_odd_files_do_not_hide_a_set(tmp_path):
    plant("kdef", tmp_path)
    for number in range(5):
        image(tmp_path / f"thumbnail{number}.jpg")
    assert recognise(tmp_path).layout == "kdef"


def test_verdicts_come_best_first(tmp_path):
    plant("ferplus", tmp_path)
    verdicts = judge(tmp_path)
    assert [verdict.layout for verdict in verdicts if verdict.complete] == ["ferplus", "fer2013"]
    assert all(0 < verdict.score <= 1 for verdict in verdicts)

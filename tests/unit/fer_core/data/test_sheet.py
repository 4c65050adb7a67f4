import json
from typing import get_args

import numpy as np
import pytest
from known_sets import image, plant, video
from PIL import Image

from fer_core.data.catalog import card
from fer_core.data.listing import list_source
from fer_core.data.sheet import check_may_show, contact_sheet
from fer_core.data.sources import DataSource, Layout
from fer_core.errors import ConfigError, DataError


@pytest.mark.parametrize("layout", get_args(Layout))
def test_no_set_is_drawn_unless_its_card_or_the_user_allows_it(tmp_path, layout):
    plant(layout, tmp_path / "set")
    source = DataSource(layout=layout, path=tmp_path / "set", split="all")
    out = tmp_path / "sheet.png"
    if card(layout).may_show_faces:
        contact_sheet(source, out)
        return
    with pytest.raises(ConfigError, match=r"may not be shown .*--i-may-look"):
        contact_sheet(source, out)
    assert not out.exists()
    check_may_show(source, i_may_look=True)


def test_rendered_faces_may_always_be_drawn(tmp_path):
    plant("cafe", tmp_path / "faces")
    (tmp_path / "synthetic.json").write_text(json.dumps({"complete": True}))
    assert contact_sheet(DataSource(layout="cafe", path=tmp_path / "faces"), tmp_path / "sheet.png") == 4


def test_a_sheet_has_a_row_a_class_and_at_most_ten_of_it(tmp_path):
    for number in range(25):
        image(tmp_path / "faces" / "happy" / f"{number:02d}.png", shade=number * 10)
    image(tmp_path / "faces" / "angry" / "1.png", shade=0)
    (tmp_path / "faces" / "sad").mkdir()
    (tmp_path / "faces" / "sad" / "broken.png").write_bytes(b"no picture")
    source = DataSource(layout="folders", path=tmp_path / "faces")
    assert contact_sheet(source, tmp_path / "sheet.png", i_may_look=True) == 11
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (7 * 96, 10 * 96, 3)
    assert sheet[48, 48].tolist() == [0, 0, 0]
    assert sheet[48, 3 * 96].tolist() == [255, 255, 255]
    happy = sheet[3 * 96 + 48, 48::96, 0].tolist()
    assert happy == sorted(happy)
    assert (happy[0], happy[-1]) == (0, 240)


def test_a_sheet_that_cannot_be_written_is_one_error(tmp_path):
    plant("folders", tmp_path / "faces")
    source = DataSource(layout="folders", path=tmp_path / "faces")
    with pytest.raises(DataError, match="cannot be written"):
        contact_sheet(source, tmp_path / "nowhere" / "sheet.png", i_may_look=True)


def test_rows_of_tables_and_frames_of_videos_are_drawn_too(tmp_path):
    video(tmp_path / "clips" / "S1_happy_1.mp4")
    clips = DataSource(layout="liris-cse", path=tmp_path / "clips", faces="centre")
    assert contact_sheet(clips, tmp_path / "clips.png", i_may_look=True) == len(list_source(clips).examples)
    plant("fer2013", tmp_path / "fer")
    rows = DataSource(layout="fer2013", path=tmp_path / "fer", split="all")
    assert contact_sheet(rows, tmp_path / "rows.png", i_may_look=True) == 61  # ten of six classes, one disgust

import pytest
from known_sets import image, video

from fer_core.data.adapters.named import list_named
from fer_core.data.adapters.videos import duration
from fer_core.data.catalog import Names, card
from fer_core.errors import DataError


def test_names_of_another_form_and_unknown_codes_are_skipped_with_the_reason(tmp_path):
    for name in ("AF01ANS.JPG", "AF01XXS.JPG", "holiday.jpg", "._AF01ANS.JPG"):
        image(tmp_path / name)
    listing = list_named(tmp_path, card("kdef").names, card("kdef").labels)
    assert [e.path.name for e in listing.examples] == ["AF01ANS.JPG"]
    assert [item.reason for item in listing.skipped] == [
        "unknown expression 'XX' (known: af, an, di, ha, ne, sa, su)",
        "name is not of the form AF01ANS.JPG",
    ]


def test_a_folder_of_something_else_is_refused(tmp_path):
    image(tmp_path / "holiday.jpg")
    with pytest.raises(DataError, match=r"none of its 1 file.s. is named like AF01ANS.JPG"):
        list_named(tmp_path, card("kdef").names, card("kdef").labels)
    with pytest.raises(DataError, match="is a file, not a folder"):
        list_named(tmp_path / "holiday.jpg", card("kdef").names, card("kdef").labels)


def test_a_pattern_must_tell_the_expression():
    with pytest.raises(ValueError, match="needs a named group"):
        Names(form="x", pattern="(?P<subject>x)")


def test_the_duration_of_a_video(tmp_path):
    video(tmp_path / "clip.mp4", seconds=1.5)
    assert duration(tmp_path / "clip.mp4") == pytest.approx(1.5)
    image(tmp_path / "still.png")
    (tmp_path / "broken.mp4").write_bytes((tmp_path / "clip.mp4").read_bytes()[:200])
    for name in ("broken.mp4", "nowhere.mp4"):
        with pytest.raises(DataError, match="cannot be read as a video"):
            duration(tmp_path / name)

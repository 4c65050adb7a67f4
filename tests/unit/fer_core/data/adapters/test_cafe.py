from pathlib import Path

import pytest

from fer_core.data.adapters.cafe import list_cafe, parse_name
from fer_core.data.faces import Example, Skipped
from fer_core.errors import DataError


@pytest.mark.parametrize(
    ("name", "expression", "subject", "group", "mouth_open"),
    [
        ("10541-happy_F-EA-14.jpg", "happiness", "F-EA-14", "EA", False),
        ("9977-angry_F-AA-01.jpg", "anger", "F-AA-01", "AA", False),
        ("10002-angryopen_F-EA-03.jpg", "anger", "F-EA-03", "EA", True),
        ("10003-neutralopen_M-LA-02.JPG", "neutral", "M-LA-02", "LA", True),
        ("10004-sad_M-SA-07.jpg", "sadness", "M-SA-07", "SA", False),
        ("10005-sadopen_M-SA-07.jpg", "sadness", "M-SA-07", "SA", True),
        ("10006-fearful_F-AS-11.jpg", "fear", "F-AS-11", "AS", False),
        ("10007-fearopen_F-AS-11.jpeg", "fear", "F-AS-11", "AS", True),
        ("10008-disgusttongue_M-EA-40.jpg", "disgust", "M-EA-40", "EA", True),
        ("10009-disgustedopen_M-EA-40.png", "disgust", "M-EA-40", "EA", True),
        ("10010-surprise_M-AA-05.jpg", "surprise", "M-AA-05", "AA", True),
        ("10011-surprised_F-AA-05.jpg", "surprise", "F-AA-05", "AA", True),
        ("10012-happyopen_F-PI-01.jpg", "happiness", "F-PI-01", "AS", True),
    ],
)
def test_names_of_cafe_say_who_and_what(name, expression, subject, group, mouth_open):
    example = parse_name(Path("sessions/6401") / name)
    assert isinstance(example, Example)
    assert example.expression == expression
    assert example.subject == subject
    assert example.group == group
    assert example.mouth_open is mouth_open
    assert example.population == "children"
    assert example.sex == subject[0]


def test_pacific_islanders_can_be_a_group_of_their_own():
    example = parse_name(Path("1-happy_F-PI-01.jpg"), pacific_islanders="PI")
    assert isinstance(example, Example)
    assert example.group == "PI"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("IMG_0001.jpg", "name is not of the form"),
        ("10541-happy_X-EA-14.jpg", "name is not of the form"),
        ("10541-happy_F-EA.jpg", "name is not of the form"),
        ("happy_F-EA-14.jpg", "name is not of the form"),
        ("10541-happy_F-EA-14 (copy).jpg", "name is not of the form"),
        ("10541-calm_F-EA-14.jpg", "unknown expression 'calm'"),
        ("10541-happy_F-ZZ-14.jpg", "unknown ethnicity code 'ZZ'"),
    ],
)
def test_other_names_are_skipped_with_the_reason(name, reason):
    skipped = parse_name(Path(name))
    assert isinstance(skipped, Skipped)
    assert reason in skipped.reason


@pytest.mark.parametrize("inner", ["sessions", ""])
def test_a_folder_is_listed_with_or_without_sessions(tmp_path, inner):
    session = tmp_path / inner / "6401"
    session.mkdir(parents=True)
    for name in ("2-sad_F-EA-14.jpg", "1-happy_F-EA-14.jpg", "portrait.jpg", "CAFE.csv", "._1-happy_F-EA-14.jpg"):
        (session / name).touch()
    listing = list_cafe(tmp_path)
    assert [example.path.name for example in listing.examples] == ["1-happy_F-EA-14.jpg", "2-sad_F-EA-14.jpg"]
    assert [Path(skipped.path).name for skipped in listing.skipped] == ["portrait.jpg"]


def test_a_missing_folder_and_a_folder_of_something_else_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        list_cafe(tmp_path / "nowhere")
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(DataError, match="none of its images is a photograph of CAFE"):
        list_cafe(tmp_path)


def test_a_subset_keeps_the_photographs_that_it_names_and_tells_which_are_not_there(tmp_path):
    session = tmp_path / "cafe" / "sessions" / "6401"
    session.mkdir(parents=True)
    for name in ("1-happy_F-EA-14.jpg", "2-sad_F-EA-14.jpg", "3-fear_F-EA-14.jpg", "4-neutral_F-EA-14.jpg"):
        (session / name).touch()
    subset = tmp_path / "subset A.txt"
    subset.write_text("\ufeff1-happy_F-EA-14.jpg\n\n3\n4-neutral_F-EA-14\n77\n", encoding="utf-8")
    listing = list_cafe(tmp_path / "cafe", subset=subset)
    assert [example.path.name[0] for example in listing.examples] == ["1", "3", "4"]
    (missing,) = listing.skipped
    assert (missing.path, missing.reason.split(" below")[0]) == (f"{subset}:5", "no photograph '77'")
    subset.write_text("77\n")
    with pytest.raises(DataError, match="none of its images"):
        list_cafe(tmp_path / "cafe", subset=subset)
    with pytest.raises(DataError, match="cannot be read as text"):
        list_cafe(tmp_path / "cafe", subset=tmp_path / "nowhere.txt")

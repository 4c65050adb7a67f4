import json
from typing import get_args

import pytest
from click.testing import CliRunner
from known_sets import image, text
from PIL import Image

from fer_core.cli import cli
from fer_core.data.sources import Layout


def run(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def cafe(tmp_path):
    session = tmp_path / "cafe" / "sessions" / "6401"
    session.mkdir(parents=True)
    for name in ("1-happy_F-EA-14", "2-sadopen_F-EA-14", "3-angry_M-PI-01"):
        Image.new("RGB", (64, 64), (120, 80, 60)).save(session / f"{name}.jpg")
    (session / "4-sad_F-EA-14.jpg").write_bytes((session / "1-happy_F-EA-14.jpg").read_bytes()[:300])
    (session / "5-calm_F-EA-14.jpg").touch()
    return tmp_path / "cafe"


def test_check_counts_by_class_and_group_and_lists_what_is_skipped(cafe):
    result = run("check", cafe, "--layout", "cafe")
    assert result.exit_code == 0
    assert "2 file(s) skipped" in result.output
    assert "4-sad_F-EA-14.jpg: cannot be decoded: Truncated" in result.output
    assert "unknown expression 'calm'" in result.output


def test_check_as_json(cafe):
    found = json.loads(run("check", cafe, "--layout", "cafe", "--json").output)
    assert (found["images"], found["subjects"], found["mouth_open"], len(found["skipped"])) == (3, 2, 1, 2)
    assert {row["group"]: row["images"] for row in found["rows"]} == {"AS": 1, "EA": 2}
    assert found["by_class"]["happiness"] == 1
    assert not found["synthetic"]


def test_check_recognises_a_set_and_tells_what_is_not_complete(cafe):
    result = run("check", cafe)
    assert result.exit_code == 0
    assert "recognised as cafe (has: photographs named like 10541-happy_F-EA-14.jpg)" in result.output
    assert "(its numbers are not confirmed): images 3, not 1,192; subjects 2, not 154" in result.output
    assert "subjects of group AS 1, not 16" in result.output


def test_check_reads_options_into_the_source(tmp_path):
    text(tmp_path / "frames.csv", "file,label,years", "1.jpg,joy,9-11", "2.jpg,calm,3")
    image(tmp_path / "1.jpg")
    image(tmp_path / "2.jpg")
    columns = ("--column", "path=file", "--column", "expression=label", "--column", "age=years")
    found = json.loads(run("check", tmp_path, "--layout", "table", *columns, "--age-border", "9.5", "--json").output)
    (row,) = found["rows"]
    assert (row["population"], row["age_band"], row["images"]) == ("adults", "6-12", 1)
    assert found["dropped"] == [{"label": "calm", "count": 1, "paths": [str(tmp_path / "2.jpg")]}]
    assert found["notes"] == ["1 ages are ranges: their middle is taken"]


def test_the_catalogue_lists_every_set_and_tells_all_of_one():
    listed = run("catalog").output
    assert all(name in listed for name in get_args(Layout))
    told = run("catalog", "kdef").output
    for word in ("Karolinska", "af fear", "35 women", "kdef.se", "AF01/AF01ANS.JPG", "4,900", "no redistribution"):
        assert word in told
    assert 'layout = "kdef"' in told
    as_json = json.loads(run("catalog", "ferplus", "--json").output)
    assert as_json["labels"]["nf"] == "no face"
    assert len(json.loads(run("catalog", "--json").output)) == len(get_args(Layout))


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("check", "nowhere", "--layout", "cafe"), 1, "nowhere: no such folder"),
        (("check", ".", "--layout", "zip"), 2, "'zip' is not one of"),
        (("check", ".", "--layout", "folders", "--subject-pattern", "("), 2, "not a regular expression"),
        (("check", "."), 1, "holds nothing of any known set"),
        (("check", "nowhere"), 1, "nowhere: no such folder"),
        (("check", ".", "--layout", "kdef", "--frame-rate", "3"), 2, "belongs to layout 'emoreact' or 'liris-cse'"),
        (("check", ".", "--layout", "table", "--column", "label"), 2, "is not NAME=COLUMN"),
        (("check", ".", "--layout", "table", "--column", "face=label"), 2, "columns.face: Extra inputs"),
        (("check", ".", "--layout", "kdef", "--contact-sheet", "out.png"), 2, "faces may not be shown (not commercial"),
        (("catalog", "kdeff"), 2, "'kdeff' is not one of"),
        (("render", "somewhere", "--children", "0"), 2, "--children: Input should be greater"),
        (("render", "somewhere", "--childs", "3"), 2, "No such option"),
    ],
)
def test_bad_input_gets_one_line_and_an_exit_code(tmp_path, monkeypatch, arguments, code, reason):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == code
    assert reason in result.output
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_render_writes_a_set_once(tmp_path):
    arguments = ("render", tmp_path / "out", "--children", 1, "--train-children", 0, "--train-adults", 0, "--size", 32)
    first = run(*arguments, "--contact-sheet", tmp_path / "sheet.png")
    assert first.exit_code == 0, first.output
    assert "pictures rendered" in first.output
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    assert "nothing to render" in run(*arguments).output

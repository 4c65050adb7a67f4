import json

import pytest
from click.testing import CliRunner
from PIL import Image

from fer_core.cli import cli


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


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("check", "nowhere", "--layout", "cafe"), 1, "nowhere: no such folder"),
        (("check", ".", "--layout", "zip"), 2, "'zip' is not one of"),
        (("check", ".", "--layout", "folders", "--subject-pattern", "("), 2, "Error: not a regular expression"),
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

"""Counts of a set and their pictures."""

import json

import pytest
from click.testing import CliRunner
from PIL import Image

from fer_core.cli import cli
from fer_core.data.plots import Statistics, plot
from fer_core.errors import ConfigError


@pytest.fixture
def folder(tmp_path):
    rows = ["path,expression,subject,age,group,split"]
    for number in range(8):
        name = f"{number}.png"
        Image.effect_noise((40, 40), 80 + number).save(tmp_path / name)
        group, age = ("A", "7") if number % 2 else ("$x$", "")
        rows.append(
            f"{name},{'happy' if number < 6 else 'sad'},s{number // 2},{age},{group},{'train' if number else ''}"
        )
    (tmp_path / "faces.csv").write_text("\n".join(rows))
    return tmp_path


def stats(folder, *options):
    command = ["stats", str(folder), "--layout", "table", "--cache", str(folder / "cache"), "--size", "32", *options]
    return CliRunner().invoke(cli, command)


def test_counts_add_up(folder):
    found = Statistics.model_validate_json(stats(folder, "--json").stdout)
    assert (found.images, found.subjects) == (8, 4)
    assert {name: count for name, count in found.by_class.items() if count} == {"happiness": 6, "sadness": 2}
    assert sum(sum(counts.values()) for counts in found.by_group.values()) == 8
    assert {age: count for age, count in found.by_age.items() if count} == {"5-9": 4, "": 4}
    assert found.by_population == {"": 4, "children": 4}
    assert found.by_split == {"": 1, "train": 7}


@pytest.mark.parametrize("ending", ["png", "svg", "html"])
def test_pictures_are_drawn_and_show_no_photograph(folder, ending):
    answer = stats(folder, "--plot", str(folder / f"counts.{ending}"))
    assert answer.exit_code == 0
    assert "8 images, 4 subjects" in answer.stdout
    drawn = (folder / f"counts.{ending}").read_bytes()
    assert drawn.startswith({"png": b"\x89PNG", "svg": b"<?xml", "html": b"<!doctype html>"}[ending])
    assert b"<image" not in drawn


def test_another_ending_is_refused(folder):
    found = Statistics.model_validate_json(stats(folder, "--json").stdout)
    with pytest.raises(ConfigError, match="ends in"):
        plot(found, "x", folder / "counts.doc")
    assert json.loads(found.model_dump_json())["images"] == 8

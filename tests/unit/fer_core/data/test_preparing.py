"""`fer-data prepare`: what it tells, what it leaves out, and that killing it at any point changes nothing."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from fer_core.cli import cli
from fer_core.data.preparing import Sets, prepare_sets, read_sets
from fer_core.data.sources import DataSource
from fer_core.errors import ConfigError

WORDS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def plant(folder, count, seed=0, side=48):
    rng = np.random.default_rng(seed)
    for number in range(count):
        path = folder / WORDS[number % 7] / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        grain = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(grain).resize((side, side)).save(path)
    return folder


def contents(cache):
    """Every file of the cache but locks, by its digest."""
    return {
        str(path.relative_to(cache)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(cache.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def prepared(folder, cache, *options):
    return CliRunner().invoke(cli, ["prepare", str(folder), "--layout", "folders", "--cache", str(cache), *options])


def test_a_report_counts_everything(tmp_path):
    folder = plant(tmp_path / "set", 30)
    (folder / "happy" / "broken.jpg").write_bytes(b"no picture")
    Image.new("L", (9, 9), 7).save(folder / "sad" / "named.jpg", format="PNG")
    (folder / "angry" / "again.png").write_bytes((folder / "angry" / "0000.png").read_bytes())
    answer = prepared(folder, tmp_path / "cache", "--size", "32", "--json")
    told = json.loads(answer.stdout)
    (source,) = told["sources"]
    assert (source["examples"], source["images"], source["decoded"]) == (33, 32, 33)
    assert source["crops"] == {"centre": 32}
    assert source["skipped"][0]["path"].endswith("broken.jpg")
    assert source["remarks"] == [{"remark": "PNG named .jpg", "count": 1, "first": str(folder / "sad" / "named.jpg")}]
    (repeated,) = told["duplicates"]
    assert repeated["exact"]
    assert not repeated["leaked"]
    assert sum(told["usable"].values()) == 31
    assert source["bytes"] > 32 * 32 * 32 * 3
    text = prepared(folder, tmp_path / "cache", "--size", "32").stdout
    for words in (
        "32 of 33 images, was there already",
        "broken.jpg: cannot be decoded",
        "1 used though PNG named .jpg",
    ):
        assert words in text
    assert "1 duplicate(s) left out: 1 exact, 0 alike; 0 with another label; 0 shown by the faces that judge" in text


def test_a_study_is_prepared_from_its_file_and_leaks_are_told(tmp_path):
    plant(tmp_path / "train", 21)
    judge = plant(tmp_path / "judge", 14, seed=1)
    (judge / "happy" / "seen.png").write_bytes((tmp_path / "train" / "sad" / "0005.png").read_bytes())
    study = tmp_path / "study.toml"
    study.write_text(
        'name = "x"\n[data.evaluation]\nlayout = "folders"\npath = "judge"\n'
        '[[data.training]]\nlayout = "folders"\npath = "train"\n'
    )
    answer = CliRunner().invoke(cli, ["prepare", str(study), "--cache", str(tmp_path / "c"), "--size", "32"])
    assert "1 with another label; 1 shown by the faces that judge" in answer.stdout
    assert "left to train on: 20 images" in answer.stdout
    assert "judging: 15 images" in answer.stdout
    assert answer.exit_code == 0


@pytest.mark.parametrize("text", ["[data", '[data]\nevaluation = {layout = "nonsense", path = "x"}', "[data]\n"])
def test_a_study_that_cannot_be_right_is_refused(tmp_path, text):
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"study\.toml: "):
        read_sets(tmp_path / "study.toml")


def test_several_processes_write_what_one_writes(tmp_path):
    folder = plant(tmp_path / "set", 300)
    sets = Sets(training=(DataSource(layout="folders", path=folder),))
    one = prepare_sets(sets, 32, tmp_path / "one", processes=1)
    two = prepare_sets(sets, 32, tmp_path / "two", processes=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert one.sources[0].digest == two.sources[0].digest


def test_killed_at_any_point_it_ends_with_the_same_cache(tmp_path):
    folder = plant(tmp_path / "set", 420)
    assert prepared(folder, tmp_path / "whole", "--size", "32").exit_code == 0
    wanted = contents(tmp_path / "whole")
    cache = tmp_path / "cache"
    command = ["prepare", folder, "--layout", "folders", "--cache", cache, "--size", "32", "--processes", "2"]
    rng = np.random.default_rng(3)
    killed = 0
    for shards in (0, 1, 3, 6):
        process = subprocess.Popen(
            [sys.executable, "-c", "from fer_core.cli import main; main()", *map(str, command)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while process.poll() is None and len(list(cache.glob("*/shard-*.parquet"))) < shards:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed >= 3
    assert prepared(folder, cache, "--size", "32").exit_code == 0
    assert contents(cache) == wanted


def test_a_shard_that_was_spoilt_is_decoded_again_and_only_that_one(tmp_path):
    folder = plant(tmp_path / "set", 200)
    prepared(folder, tmp_path / "cache", "--size", "32")
    wanted = contents(tmp_path / "cache")
    (entry,) = (path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    (entry / "about.json").unlink()
    spoilt = entry / "shard-00001.bin"
    spoilt.write_bytes(bytes(len(spoilt.read_bytes())))
    told = json.loads(prepared(folder, tmp_path / "cache", "--size", "32", "--json").stdout)
    assert told["sources"][0]["decoded"] == 64
    assert contents(tmp_path / "cache") == wanted


def test_a_finished_cache_is_read_without_writing(tmp_path):
    folder = plant(tmp_path / "set", 20)
    cache = tmp_path / "cache"
    prepared(folder, cache, "--size", "32")
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    assert prepared(folder, cache, "--size", "32").exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in Path(cache).rglob("*")} == before


def test_a_cache_that_cannot_be_written_is_an_error(tmp_path):
    folder = plant(tmp_path / "set", 7)
    (tmp_path / "file").touch()
    answer = prepared(folder, tmp_path / "file", "--size", "32")
    assert answer.exit_code == 1
    assert "the cache folder cannot be written" in answer.output

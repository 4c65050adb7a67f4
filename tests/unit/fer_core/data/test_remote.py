"""A mirror of the cache, by fsspec's file system in memory."""

import uuid

import fsspec
import pytest
from click.testing import CliRunner
from PIL import Image

from fer_core.cli import cli
from fer_core.data.preparing import Sets, prepare_sets
from fer_core.data.sources import DataSource
from fer_core.errors import ConfigError


@pytest.fixture
def sets(tmp_path):
    for number, word in enumerate(("happy", "sad")):
        path = tmp_path / "set" / word / f"{number}.png"
        path.parent.mkdir(parents=True)
        Image.effect_noise((40, 40), 90 + number).save(path)
    return Sets(training=(DataSource(layout="folders", path=tmp_path / "set"),))


@pytest.fixture
def url():
    return f"memory://{uuid.uuid4().hex}/faces"


def test_what_one_machine_decoded_the_next_one_fetches(tmp_path, sets, url):
    first = prepare_sets(sets, 32, tmp_path / "one", mirror=url)
    second = prepare_sets(sets, 32, tmp_path / "two", mirror=url)
    assert (first.sources[0].decoded, second.sources[0].decoded) == (2, 0)
    assert first.sources[0].digest == second.sources[0].digest
    for path in (tmp_path / "one").glob("faces-*/*"):
        assert (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes() == path.read_bytes()


def test_an_incomplete_mirror_is_completed_not_trusted(tmp_path, sets, url):
    prepare_sets(sets, 32, tmp_path / "one", mirror=url)
    system, root = fsspec.core.url_to_fs(url)
    (about,) = system.glob(f"{root}/*/about.json")
    system.rm(about)
    assert prepare_sets(sets, 32, tmp_path / "two", mirror=url).sources[0].decoded == 2
    assert system.exists(about)


def test_a_fetch_that_breaks_off_leaves_nothing_and_is_done_again(tmp_path, sets, url, monkeypatch):
    prepare_sets(sets, 32, tmp_path / "one", mirror=url)
    system, _ = fsspec.core.url_to_fs(url)
    fetched = type(system).get_file
    calls = []

    def break_off(self, *names, **options):
        calls.append(names)
        if len(calls) == 2:
            raise OSError("cable cut")
        return fetched(self, *names, **options)

    monkeypatch.setattr(type(system), "get_file", break_off)
    options = ["--layout", "folders", "--size", "32", "--cache", str(tmp_path / "two"), "--mirror", url]
    answer = CliRunner().invoke(cli, ["prepare", str(sets.training[0].path), *options])
    assert answer.exit_code == 1
    assert "cannot be fetched: cable cut" in answer.output
    assert not list((tmp_path / "two").glob("faces-*/*"))
    assert prepare_sets(sets, 32, tmp_path / "two", mirror=url).sources[0].decoded == 0


def test_a_url_that_nobody_speaks_is_refused(tmp_path, sets):
    with pytest.raises(ConfigError, match="gopher"):
        prepare_sets(sets, 32, tmp_path / "one", mirror="gopher://hole/faces")

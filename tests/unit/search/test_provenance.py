"""Provenance: digests that follow the code, a commit where there is a clone."""

import re
import subprocess

import pytest

from search import provenance


def test_the_code_digest_depends_on_the_room() -> None:
    digests = {provenance.code_digest("fer_core"), provenance.code_digest("devicelab"), provenance.code_digest()}
    assert len(digests) == 3
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)


def test_the_commit_is_gits(monkeypatch: pytest.MonkeyPatch) -> None:
    said = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=provenance.HOME, capture_output=True, text=True, check=False
    )
    provenance.commit.cache_clear()
    assert provenance.commit() == said.stdout.strip()


def test_installed_code_has_a_version_and_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(provenance, "HOME", tmp_path)
    provenance.commit.cache_clear()
    assert provenance.commit() == ""
    assert "+" not in provenance.code_version()
    provenance.commit.cache_clear()


def test_libraries_have_versions() -> None:
    assert {"torch", "numpy"} <= provenance.versions().keys()

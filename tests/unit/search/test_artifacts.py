"""The artifact store: once per key, whole or not at all, repaired when damaged."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from search.artifacts import ArtifactStore, write_atomically
from search.errors import ArtifactError

KEY = "ab" * 32


def _fill(folder: Path) -> None:
    (folder / "model.bin").write_bytes(b"weights")


_COMPUTE_SLOWLY = """
import sys, time
from pathlib import Path
from search.artifacts import ArtifactStore

root, tally = map(Path, sys.argv[1:3])

def compute(folder):
    with tally.open("a") as stream:
        stream.write("computed\\n")
    time.sleep(0.2)
    (folder / "model.bin").write_bytes(b"weights")

entry = ArtifactStore(root).get_or_compute("ab" * 32, compute)
assert (entry / "model.bin").read_bytes() == b"weights"
"""

_HOLD_THE_LOCK = """
import sys, time
from pathlib import Path
from search.artifacts import ArtifactStore

store = ArtifactStore(Path(sys.argv[1]))
with store.locked("ab" * 32):
    (store.partial("ab" * 32) / "checkpoint").write_text("epoch 3")
    print("holding", flush=True)
    time.sleep(60)
"""


def _python(script: str, *arguments: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


def test_processes_that_need_the_same_entry_wait_for_one_computation(tmp_path: Path) -> None:
    tally = tmp_path / "tally"
    workers = [_python(_COMPUTE_SLOWLY, tmp_path / "store", tally) for _ in range(4)]
    for worker in workers:
        worker.communicate(timeout=30)
    assert [worker.returncode for worker in workers] == [0, 0, 0, 0]
    assert tally.read_text() == "computed\n"


def test_a_dead_holder_releases_its_lock_and_leaves_its_partial_work(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "store")
    with _python(_HOLD_THE_LOCK, tmp_path / "store") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holding\n"
        holder.kill()
        with store.locked(KEY):
            assert (store.partial(KEY) / "checkpoint").read_text() == "epoch 3"
    (store.get_or_compute(KEY, _fill)).joinpath("model.bin").unlink()
    assert sorted(path.name for path in store.get_or_compute(KEY, _fill).iterdir()) == ["manifest.json", "model.bin"]


def test_an_entry_is_computed_once_and_found_afterwards(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    entry = store.get_or_compute(KEY, _fill)
    assert store.get_or_compute(KEY, pytest.fail) == entry == store.find(KEY)


@pytest.mark.parametrize("damage", [b"", b"weightz"])
def test_a_damaged_entry_is_computed_again(tmp_path: Path, damage: bytes) -> None:
    store = ArtifactStore(tmp_path)
    (store.get_or_compute(KEY, _fill) / "model.bin").write_bytes(damage)
    assert store.find(KEY) is None
    assert (store.get_or_compute(KEY, _fill) / "model.bin").read_bytes() == b"weights"


def test_a_missing_file_or_manifest_is_damage(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    for name in ("model.bin", "manifest.json"):
        (store.get_or_compute(KEY, _fill) / name).unlink()
        assert store.find(KEY) is None


def test_a_failed_computation_stores_nothing(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)

    def fail(folder: Path) -> None:
        _fill(folder)
        raise ValueError("diverged")

    with pytest.raises(ValueError, match="diverged"):
        store.get_or_compute(KEY, fail)
    assert store.find(KEY) is None


def test_a_full_disk_is_said_plainly(tmp_path: Path) -> None:
    def fill_the_disk(_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ArtifactError, match="No space left on device; free some space"):
        ArtifactStore(tmp_path).get_or_compute(KEY, fill_the_disk)


def test_a_bug_in_a_computation_is_not_blamed_on_the_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ArtifactStore(tmp_path).get_or_compute(KEY, lambda folder: (folder / "absent").read_text() and None)


def test_an_unwritable_root_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(ArtifactError, match="cannot write"):
        ArtifactStore(tmp_path / "store").get_or_compute(KEY, _fill)


def test_an_atomic_write_replaces_the_whole_file_and_leaves_no_draft(tmp_path: Path) -> None:
    target = tmp_path / "history.json"
    write_atomically(target, b"old")
    write_atomically(target, b"new")
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]

"""Benchmarks are run by hand, months apart: what they name of the code must still be there on the day."""

import runpy
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
COMMANDS = sorted(path.stem for path in BENCHMARKS.glob("*.py") if "__main__" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_benchmark_still_loads_and_gives_its_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)  # as Python does for a script
    module = runpy.run_path(str(BENCHMARKS / f"{name}.py"), run_name=name)
    assert f"benchmarks/{name}.py" in module["__doc__"]
    assert callable(module["main"])

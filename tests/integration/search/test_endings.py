"""Whatever goes wrong in a stage ends its trial with a type and a blame, through real Ray; seconds: the benchmark."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "endings.py"


def test_each_fact_ends_as_it_should() -> None:
    ran = subprocess.run(
        [sys.executable, str(BENCHMARK), "--part", "few", "--limit", "10", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=560,
        env={name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
    )
    rows = json.loads(ran.stdout.splitlines()[-1])
    wrong = [row for row in rows if (row["got"], row["got_blames"]) != (row["ending"], row["blames"])]
    assert wrong == []
    assert len(rows) == 5
    assert {row["attempts"] for row in rows if row["fact"].startswith("killed")} == {3}
    assert ran.returncode == 0

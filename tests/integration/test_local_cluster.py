import sys

import psutil
import pytest

from cluster import launch
from cluster.config import load_profile
from cluster.errors import ClusterError, NotRunning


@pytest.mark.slow
def test_up_status_submit_down_leave_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))  # the token goes there: the user's own stays as it is
    profile = load_profile("local")
    running = launch.up(profile, tmp_path)
    family = [psutil.Process(running.pid), *psutil.Process(running.pid).children(recursive=True)]
    try:
        assert "Node status" in launch.status("local", tmp_path)[1]
        with pytest.raises(ClusterError, match="up already"):
            launch.up(profile, tmp_path)
        seen = f"import os; assert os.environ['RAY_ADDRESS'] == {running.address!r}"
        assert launch.submit("local", tmp_path, [sys.executable, "-c", seen]) == 0
    finally:
        launch.down("local", tmp_path)
    assert [process for process in family if process.is_running()] == []
    with pytest.raises(NotRunning):
        launch.status("local", tmp_path)

"""A bare interpreter imports the light modules and must not find torch, TensorFlow, Ray or Optuna loaded."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "tensorflow", "ray", "optuna", "timm", "matplotlib", "onnx", "sklearn")

LIGHT = {
    "values": "fer_core.specs fer_core.artifact fer_core.scores fer_core.errors search.candidate search.objectives "
    "devicelab.device devicelab.lease devicelab.measurement",
    "fer-search": "search.cli",
    "fer-lab": "devicelab.cli",
    "fer-cluster": "cluster.cli",
    "fer-data": "fer_core.cli",
}


@pytest.mark.parametrize("modules", LIGHT.values(), ids=LIGHT.keys())
def test_light_modules_load_nothing_heavy(modules):
    code = (
        f"import sys\nfor m in {modules.split()!r}: __import__(m)\nprint(*[h for h in {HEAVY!r} if h in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []


@pytest.mark.parametrize("module", ["devicelab.cli", "search.cli"])
def test_commands_load_no_web_server_or_client(module):
    web = ("fastapi", "starlette", "uvicorn", "httpx2", "jinja2", "prometheus_client", "selenium")
    code = f"import sys, {module}\nprint(*[w for w in {web!r} if w in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []

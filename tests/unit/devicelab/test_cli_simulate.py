"""``fer-lab simulate``: a rehearsal tells what happened, stamped, the same every time."""

import json

from click.testing import CliRunner

from devicelab.cli import cli


def test_a_rehearsal_tells_what_happened():
    command = ["simulate", "--devices", "4", "--requests", "6", "--fault-rate", "0.01"]
    results = [CliRunner().invoke(cli, [*command, "--json"]) for _ in range(2)]
    assert [result.exit_code for result in results] == [0, 0]
    told = json.loads(results[0].output)
    assert told == json.loads(results[1].output)
    assert (told["source"], told["requests"], told["endings"]) == ("simulated", 6, {"measured": 6})
    assert told["lost"] == told["doubled"] == told["stale"] == told["wrong"] == 0
    shown = CliRunner().invoke(cli, command)
    assert "simulated" in shown.output

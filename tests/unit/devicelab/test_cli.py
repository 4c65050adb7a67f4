"""fer-lab: what it prints, its exit codes, and that it says 'simulated' everywhere."""

import json

import pytest
from click.testing import CliRunner

from devicelab.cli import cli
from devicelab.config import LabConfig
from devicelab.lab import Lab
from devicelab.measurement import Measurement


@pytest.fixture
def fer_lab(tmp_path):
    def run(*arguments, code=0):
        environment = {"FER_LAB_STORE": str(tmp_path / "lab.sqlite")}
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments], env=environment)
        assert result.exit_code == code, result.output
        if code:
            assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def places(tmp_path, model):
    broken, lab = tmp_path / "broken.tflite", tmp_path / "lab.toml"
    broken.write_bytes(model.read_bytes()[:600])
    lab.write_text('[[devices]]\nname = "a"\nnoize = "x"\n')
    return {"MODEL": model, "BROKEN": broken, "LAB": lab}


def test_measures_once_and_remembers(fer_lab, model):
    first = fer_lab("measure", model).stdout
    assert "phone-seconds" in first
    assert "simulated" in first
    assert "from the store" in fer_lab("measure", model).stdout
    measured = Measurement.model_validate_json(fer_lab("measure", model, "--json").stdout)
    assert measured.source == "simulated"
    assert f"{measured.median_ms:.2f} ms" in first
    assert json.loads(fer_lab("measurements", "--json").stdout) == [measured.model_dump(mode="json")]
    listing = fer_lab("measurements").stdout
    assert measured.fingerprint[:8] in listing
    assert "simulated" in listing


def test_measures_where_it_is_told(fer_lab, model):
    options = ("--threads", 4, "--on", "moto-g6-2", "--json")
    measured = json.loads(fer_lab("measure", model, *options).stdout)
    assert (measured["device"], measured["threads"]) == ("moto-g6-2", 4)


def test_lists_devices(fer_lab):
    listing = fer_lab("devices").stdout
    assert "moto-g6-1" in listing
    assert "simulated" in listing
    rows = json.loads(fer_lab("devices", "--json").stdout)
    assert [row["source"] for row in rows] == ["simulated"] * 2


def test_lists_leases(fer_lab, model):
    fer_lab("measure", model)
    assert fer_lab("leases").stdout == "no device is leased\n"
    rows = json.loads(fer_lab("leases", "--all", "--json").stdout)
    assert {row["source"] for row in rows} == {"simulated"}
    assert "moto-g6-1" in fer_lab("leases", "--all").stdout


def test_nothing_yet_is_exit_code_3(fer_lab, tmp_path):
    for command in ("measurements", "leases"):
        assert "fer-lab measure MODEL.tflite" in fer_lab(command, code=3).stderr
    Lab(LabConfig.simulated(), tmp_path / "lab.sqlite").close()
    assert fer_lab("measurements", "--json", code=3).stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["measure", "MODEL", "--on", "nobody"], 3, "no device matches"),
        (["measure", "MODEL", "--on", "colour=red"], 2, "KEY=VALUE"),
        (["measure", "MODEL", "--threads", "9"], 2, "--threads"),
        (["measure", "none.tflite"], 2, "does not exist"),
        (["measure", "BROKEN"], 1, "broken.tflite: truncated or damaged .tflite; export the network again"),
        (["measure", "MODEL", "--lab", "LAB"], 2, "lab.toml: devices.0.noize: unknown key"),
        (["devices", "--lab", "none.toml"], 2, "none.toml: cannot be read"),
        (["measure", "MODEL", "--store", "BROKEN"], 1, "cannot be used as the lab's store"),
    ],
)
def test_bad_input_is_one_line(fer_lab, places, arguments, code, message):
    output = fer_lab(*(places.get(argument, argument) for argument in arguments), code=code).output
    assert message in output
    if output.startswith("fer-lab: "):
        assert output.count("\n") == 1


def test_a_busy_store_is_refused_and_still_readable(fer_lab, tmp_path, model):
    with Lab(LabConfig.simulated(), tmp_path / "lab.sqlite"):
        assert "in use by process" in fer_lab("measure", model, code=1).stderr
        fer_lab("devices")
        fer_lab("leases")


def test_every_command_teaches_by_example():
    for name, command in cli.commands.items():
        assert command.help is not None
        assert f"fer-lab {name}" in command.help

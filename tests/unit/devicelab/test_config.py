"""lab.toml: what is read, and how what is wrong is named."""

import pytest

from devicelab.config import LabConfig, SimulatedPhone
from devicelab.errors import ConfigError


def load(tmp_path, text):
    path = tmp_path / "lab.toml"
    path.write_text(text)
    return LabConfig.load(path)


def test_reads_phones(tmp_path):
    config = load(tmp_path, '[[devices]]\nname = "a"\n[[devices]]\nname = "b"\nnoise = "noisy"\nambient_c = 30\n')
    assert config.devices == (SimulatedPhone(name="a"), SimulatedPhone(name="b", noise="noisy", ambient_c=30))


def test_the_simulated_lab_needs_nothing():
    config = LabConfig.simulated(devices=3, seed=5)
    assert [(device.name, device.seed) for device in config.devices] == [(f"moto-g6-{n}", 5) for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[[devices]]\nname = "a"\nnoize = "x"', "devices.0.noize: unknown key"),
        ('[[devices]]\nname = "a"\nnoise = "loud"', "devices.0.noise: Input should be"),
        ('[[devices]]\nname = "a"\nambient_c = 99', "devices.0.ambient_c: Input should be less than or equal to 60"),
        ('[[devices]]\nname = "a"\n[[devices]]\nname = "a"', "two devices are named 'a'"),
        ("", "devices: Field required"),
        ("devices = [", "not valid TOML"),
    ],
)
def test_names_file_key_and_reason(tmp_path, text, reason):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'lab.toml'}: {reason}")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        LabConfig.load(tmp_path / "none.toml")


def test_a_lab_without_phones_is_refused():
    with pytest.raises(ConfigError, match="simulated lab: devices"):
        LabConfig.simulated(devices=0)


PHONE = """
[[devices]]
driver = "appium"
name = "moto-1"
udid = "ZY3224AAAA"
"""


def test_reads_phones_behind_adb(tmp_path):
    (phone,) = load(tmp_path, PHONE).devices
    assert (phone.udid, phone.adb_port, phone.route, phone.cpus, phone.system_port) == (
        "ZY3224AAAA",
        5037,
        "app",
        "f0",
        0,
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PHONE + PHONE.replace("moto-1", "moto-2"), "two devices have udid = 'ZY3224AAAA'"),
        (
            PHONE + "system_port = 8201\n" + PHONE.replace("moto-1", "m").replace("AAAA", "B") + "system_port = 8201\n",
            "two",
        ),
        (PHONE.replace("ZY3224AAAA", "x; reboot"), "devices.0.udid: String should match pattern"),
        (PHONE + 'cpus = "f0; ls"\n', "devices.0.cpus: String should match pattern"),
        (PHONE + 'source = "phone"\n', "devices.0.source: unknown key"),
        (PHONE.replace('"appium"', '"magic"'), "devices.0: Input tag 'magic'"),
        (PHONE.replace('udid = "ZY3224AAAA"', ""), "devices.0.udid: Field required"),
    ],
)
def test_phones_behind_adb_that_cannot_be_right(tmp_path, text, reason):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'lab.toml'}: {reason}")

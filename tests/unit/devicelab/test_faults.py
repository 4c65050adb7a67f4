"""The table of faults: complete, and consistent with itself."""

import pickle

import pytest

from devicelab.errors import DeviceError, HostError
from devicelab.faults import FAULTS, UNKNOWN, Rung


def test_the_table_has_every_fault_once():
    assert set(FAULTS) == {f"F{number}" for number in range(29)} | {"F21H"}
    assert all(fault.id == key and fault.title for key, fault in FAULTS.items())


def test_what_software_cannot_end_has_no_rung():
    assert all(fault.recoverable or fault.rung is None for fault in FAULTS.values())
    assert list(Rung) == sorted(Rung)


@pytest.mark.parametrize("kind", [DeviceError, HostError])
def test_an_error_keeps_its_fault_through_a_process_border(kind):
    error = pickle.loads(pickle.dumps(kind("gone", FAULTS["F9"])))  # noqa: S301 what we have just written
    assert (str(error), error.fault) == ("gone", FAULTS["F9"])


def test_an_unrecognised_failure_is_suspect():
    assert DeviceError("what").fault is UNKNOWN
    assert HostError("what").fault.blame == "host"

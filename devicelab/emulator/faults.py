"""What can be done to an emulated phone, and when: faults by name, at once or armed for a moment of a measurement.

when    the fault comes
now     at once
push    in the middle of the next model that is pushed
start   when the benchmark is next started, before it runs
run     between its warm-up and its timed runs
read    when its figures are ready, before the line with the final ones is written
"""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

When = Literal["now", "push", "start", "run", "read"]
WHENS: tuple[When, ...] = get_args(When)

FAULTS: MappingProxyType[str, str] = MappingProxyType(
    {
        "drop": "break the connection once; adb may connect again",
        "unplug": "break the connection and take the phone off the bus",
        "replug": "undo unplug",
        "hang": "keep the connection and answer nothing",
        "unhang": "undo hang",
        "crash-uia2": "end UiAutomator2's server on the phone",
        "crash-app": "end the benchmark while it runs, as the kernel's low-memory killer does",
        "wedge-app": "let the benchmark that runs or is started next never end",
        "unauthorize": "forget this computer's key: adb says unauthorized",
        "authorize": "undo unauthorize",
        "reboot": "restart: disconnect, come back after a while with a new boot id",
        "hot": "heat the battery to 47 C; the CPU is capped at 652.8 MHz",
        "throttle": "cap the CPU at 1401.6 MHz",
        "cool": "undo hot and throttle",
        "storage-full": "leave no room for files",
        "storage-free": "undo storage-full",
        "truncate-log": "lose the end of the next benchmark's output",
        "wrong-args": "let the next benchmark see only its first argument",
        "pop-up": "put a system update's window on top and lock the screen",
        "dismiss": "undo pop-up",
        "empty-battery": "let the battery be at 5 %, discharging",
        "sick-battery": "let the battery report over-voltage",
        "charge": "undo empty-battery and sick-battery",
        "duplicate-serial": "report the serial number of another phone",
        "true-serial": "undo duplicate-serial",
    }
)
"""Each fault and what it does."""


@dataclass(slots=True)
class FaultBook:
    """Faults waiting for their moment, and the moments at which any came (``fault@when``)."""

    armed: list[tuple[str, When]] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)

    def arm(self, fault: str, when: When) -> None:
        """Let *fault* come at the next *when*."""
        self.armed.append((fault, when))

    def due(self, when: When) -> list[str]:
        """Return the faults armed for *when*, once."""
        found = [fault for fault, moment in self.armed if moment == when]
        self.armed = [(fault, moment) for fault, moment in self.armed if moment != when]
        self.happened += [f"{fault}@{when}" for fault in found]
        return found

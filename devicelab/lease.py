"""Who may use which phone: the lease as a value, and the choice of a phone as a pure function."""

from collections.abc import Collection, Mapping

from devicelab.device import Device, Health, Selector, Value


class Lease(Value):
    """The sole right to one device until ``expires_at`` (seconds since 1970).

    ``token`` is the fencing token: of two leases on one device the later has the larger one, and
    only work done under the newest, unexpired lease is recorded.
    """

    token: int
    device: str
    holder: str
    granted_at: float
    expires_at: float

    def holds_at(self, now: float) -> bool:
        """Whether the right still holds at *now*."""
        return now < self.expires_at


class DeviceStatus(Value):
    """A device, how it is, and who uses it now (``None``: it is idle)."""

    device: Device
    health: Health
    lease: Lease | None = None


def allocate(
    devices: Collection[DeviceStatus],
    selector: Selector,
    used: Mapping[str, int],
) -> Device | None:
    """Return the idle device that *selector* accepts and that has been *used* least, then the coolest, then by name.

    *used* counts, by name, how often this measurement has already been on a device: a second block belongs on
    another phone if there is one. ``None`` if no idle device would do.
    """
    idle = [status for status in devices if status.lease is None and selector.matches(status.device)]
    if not idle:
        return None
    best = min(idle, key=lambda one: (used.get(one.device.name, 0), one.health.temperature_c, one.device.name))
    return best.device

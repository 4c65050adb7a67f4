"""What the routes need from the lab: the seam between HTTP and the coordinator."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

from devicelab.api import Action, Submission, Ticket
from devicelab.commands import Command, Order
from devicelab.device import Device
from devicelab.service.feed import Feed, FeedItem
from devicelab.service.views import History, LabView


class Desk(Protocol):
    """A lab that is served. Reads answer at once from memory; what is awaited goes through the lab's one writer."""

    @property
    def feed(self) -> Feed:
        """The lab's events as they happen."""
        ...

    async def open(self) -> None:
        """Start, in the running event loop.

        Raises:
            StoreError: another process writes the lab's store, or it cannot be used.
        """
        ...

    def close(self) -> None:
        """Stop; requests that are under way are found again at the next start."""
        ...

    def view(self) -> LabView:
        """Return the lab as it is now."""
        ...

    def view_json(self, part: str) -> bytes:
        """Return ``status`` (all), ``devices``, ``queue``, ``leases`` or ``incidents`` of the view as JSON."""
        ...

    async def history(self, device: str) -> History:
        """Return what the phone *device* has been through.

        Raises:
            NoDeviceError: there is no such phone.
        """
        ...

    async def measurements(self, limit: int) -> Sequence[dict[str, Any]]:
        """Return the newest *limit* measurements, oldest first, as plain JSON values."""
        ...

    async def events(self, after: int, limit: int) -> Sequence[FeedItem]:
        """Return up to *limit* events behind number *after* from the store, oldest first."""
        ...

    async def ticket(self, key: str) -> Ticket | None:
        """Return how the request *key* stands; None if nobody made it."""
        ...

    async def submit(self, key: str, submission: Submission, file: Path | None) -> Ticket:
        """Queue *submission* under *key* unless it is there already; return how it stands.

        What the store knows, or another request is about to find out, is not measured again. *file* is None if the
        network has not been sent: then what cannot be answered without it is not queued, and the ticket asks for it.

        Raises:
            NoDeviceError: no phone of this lab would do.
            ConfigError: *key* is another request's.
        """
        ...

    async def wait(self, key: str, seconds: float) -> Ticket:
        """Return the ticket of *key* when it has ended, or as it stands after *seconds*."""
        ...

    async def operate(self, device: str, action: Action, who: str, why: str) -> None:
        """Do *action* to *device* and keep who did it and why.

        Raises:
            NoDeviceError: there is no such phone.
            ConfigError: its state does not allow it.
        """
        ...

    def host_of(self, device: str) -> str:
        """Return the name of the host that the phone *device* hangs on, "" if there is no such phone."""
        ...

    async def arrive(self, host: str, room: str, devices: Sequence[Device], fresh: Collection[str] = ()) -> None:
        """Let exactly these phones hang on *host*; phones that it had before are gone.

        *fresh* names those whose worker is new: what they were at under a lease is over.
        """
        ...

    async def claim(self, host: str, seconds: float) -> tuple[Order, ...]:
        """Return the orders for phones of *host*, waiting up to *seconds* for the first."""
        ...

    async def tell(self, command: Command) -> dict[str, int]:
        """Let *command*, which an agent tells, happen; return the number of the lab's last event.

        Raises:
            LeaseError: it speaks for a lease that no longer holds.
        """
        ...

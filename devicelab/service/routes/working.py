"""Routes for agents, the hosts that phones hang on: say which phones there are, take orders, tell how they went.

A host is named as its token is, and speaks for its own phones only.
Every word about an order carries the fencing token of its lease; one that no longer holds is answered with 409, and
then the agent stops that work. Nothing that an agent says twice counts twice.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import FileResponse
from pydantic import Field

from devicelab import commands as cmd
from devicelab.api import ROOT, Name, Sha256
from devicelab.commands import Order
from devicelab.device import Device, Health, Value
from devicelab.errors import AccessError, NoDeviceError
from devicelab.measurement import Reading
from devicelab.service.auth import Grant
from devicelab.service.desk import Desk
from devicelab.service.guard import Guard
from devicelab.service.uploads import Uploads

MAX_WAIT_SECONDS = 60.0
MAX_REPORT_BYTES = 1 << 20
"""A reading with its raw times; 342 runs are 7 kB."""


class Arrival(Value):
    """The phones that a host has now, and the room that it stands in.

    *fresh* names those whose worker has just started: what they were at before is over.
    """

    devices: Annotated[tuple[Device, ...], Field(max_length=256)]
    room: Name = "local"
    fresh: Annotated[frozenset[Name], Field(max_length=256)] = frozenset()


class ReadReport(Value):
    """A block that was read, with the raw times in milliseconds."""

    reading: Reading
    times: Annotated[tuple[float, ...], Field(max_length=100_000)] = ()


class FailedReport(Value):
    """Why the order could not be done: see ``devicelab.commands.Failed``."""

    message: Annotated[str, Field(max_length=2000)]
    fault: Annotated[str, Field(pattern=r"^F[0-9]{1,2}H?$")] = "F0"
    workload: bool = False
    reason: Annotated[str, Field(pattern=r"^[a-z]{0,20}$")] = ""


class DoneReport(Value):
    """The phone is clean, and how it is; with the reference's *factor* and *error* if that was measured."""

    health: Health
    factor: Annotated[float, Field(gt=0)] | None = None
    error: Annotated[float, Field(ge=0)] = 0.0


class LostReport(Value):
    """A phone left the bus."""

    message: Annotated[str, Field(max_length=2000)] = "the phone is gone"
    fault: Annotated[str, Field(pattern=r"^F[0-9]{1,2}H?$")] = "F8"


def working(desk: Desk, guard: Guard, uploads: Uploads) -> APIRouter:
    """Return the routes by which agents get work."""
    router = APIRouter(prefix=ROOT)
    agent = Depends(guard.needs("work"))

    @router.post("/agent/hello")
    async def hello(arrival: Arrival, who: Annotated[Grant, agent]) -> dict[str, int]:
        await desk.arrive(who.name, arrival.room, arrival.devices, arrival.fresh)
        return {"devices": len(arrival.devices)}

    @router.post("/agent/claim")
    async def claim(
        who: Annotated[Grant, agent], wait: Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS)] = 0
    ) -> tuple[Order, ...]:
        """Return the orders for this host's phones, as soon as there is one or after *wait* seconds."""
        return await desk.claim(who.name, wait)

    @router.get("/artifacts/{sha256}/content", dependencies=[agent])
    async def content(sha256: Sha256) -> FileResponse:
        if await uploads.find(sha256) is None:
            raise NoDeviceError(f"no file {sha256} has been sent to this lab")
        return FileResponse(uploads.path_of(sha256), media_type="application/octet-stream")

    return router


def reporting(desk: Desk, guard: Guard) -> APIRouter:
    """Return the routes by which agents tell how their work went."""

    async def own(device: Name, who: Annotated[Grant, Depends(guard.needs("work"))]) -> str:
        if desk.host_of(device) != who.name:
            raise AccessError(f"{device} is no phone of the host {who.name}")
        return device

    router = APIRouter(prefix=f"{ROOT}/agent/{{device}}")
    phone = Annotated[str, Depends(own)]

    @router.post("/{token}/started")
    async def started(device: phone, token: int) -> dict[str, int]:
        return await desk.tell(cmd.Started(device, token))

    @router.post("/{token}/heartbeat")
    async def heartbeat(device: phone, token: int) -> dict[str, int]:
        return await desk.tell(cmd.Heartbeat(device, token))

    @router.post("/{token}/read", max_body_size=MAX_REPORT_BYTES)
    async def read(device: phone, token: int, report: ReadReport) -> dict[str, int]:
        return await desk.tell(cmd.Read(device, token, report.reading, report.times))

    @router.post("/{token}/failed")
    async def failed(device: phone, token: int, report: FailedReport) -> dict[str, int]:
        return await desk.tell(cmd.Failed(device, token, report.message, report.fault, report.workload, report.reason))

    @router.post("/{token}/done")
    async def done(device: phone, token: int, report: DoneReport) -> dict[str, int]:
        return await desk.tell(cmd.Done(device, token, report.health, report.factor, report.error))

    @router.post("/lost")
    async def lost(device: phone, report: LostReport) -> dict[str, int]:
        return await desk.tell(cmd.Lost(device, report.fault, report.message))

    return router

"""Read routes: the lab as JSON, its events as a list and as a stream. Answered from memory."""

from collections.abc import AsyncIterator
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse

from devicelab.api import ROOT, Name
from devicelab.errors import NoDeviceError
from devicelab.service import sse
from devicelab.service.desk import Desk
from devicelab.service.feed import FeedItem
from devicelab.service.guard import Guard

PAGE = 1000
"""Most rows of one answer."""
_JSON = "application/json"


def reading(desk: Desk, guard: Guard) -> APIRouter:
    """Return the routes for whoever may read."""
    router = APIRouter(dependencies=[Depends(guard.needs("read"))])

    def part_route(part: str) -> None:
        async def read() -> Response:
            return Response(desk.view_json(part), media_type=_JSON)

        router.add_api_route(f"{ROOT}/{part}", read, methods=["GET"], name=part)

    for part in ("status", "devices", "queue", "leases", "incidents"):
        part_route(part)

    @router.get(ROOT + "/devices/{name}")
    async def device(name: Name) -> Response:
        phone = next((phone for phone in desk.view().phones if phone.name == name), None)
        if phone is None:
            raise NoDeviceError(f"this lab has no phone {name!r}")
        body = {"phone": phone.model_dump(mode="json"), "history": (await desk.history(name)).model_dump(mode="json")}
        return Response(orjson.dumps(body), media_type=_JSON)

    @router.get(ROOT + "/measurements")
    async def measurements(limit: Annotated[int, Query(ge=1, le=PAGE)] = 100) -> Response:
        return Response(orjson.dumps(await desk.measurements(limit)), media_type=_JSON)

    @router.get(ROOT + "/events")
    async def events(
        after: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=PAGE)] = 100
    ) -> Response:
        rows = await desk.events(after, limit)
        return Response(b"[" + b",".join(row.body.encode() for row in rows) + b"]", media_type=_JSON)

    @router.get("/events")
    async def stream(
        last_event_id: Annotated[int | None, Header(ge=0)] = None, after: Annotated[int | None, Query(ge=0)] = None
    ) -> StreamingResponse:
        return _stream(desk, next((seq for seq in (last_event_id, after) if seq is not None), desk.feed.last))

    return router


def _stream(desk: Desk, seq: int) -> StreamingResponse:
    async def older(seq: int) -> list[FeedItem]:
        return list(await desk.events(seq, PAGE))

    content: AsyncIterator[bytes] = sse.events(desk.feed, seq, older)
    return StreamingResponse(content, media_type="text/event-stream", headers=sse.HEADERS)

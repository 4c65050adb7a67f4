"""Routes for searches: send a network, ask for its latency, wait for the answer."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from devicelab.api import ROOT, Name, Sha256, Submission, Ticket
from devicelab.errors import NoDeviceError, UploadError
from devicelab.service.auth import Grant
from devicelab.service.desk import Desk
from devicelab.service.guard import Guard
from devicelab.service.uploads import Upload, Uploads

MAX_WAIT_SECONDS = 60.0
_Seconds = Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS)]


def sending(guard: Guard, uploads: Uploads, max_bytes: int) -> APIRouter:
    """Return the routes for networks; a file has at most *max_bytes*."""
    router = APIRouter(prefix=ROOT)
    asker = Depends(guard.needs("measure"))

    @router.put("/artifacts/{sha256}", status_code=201, max_body_size=max_bytes, dependencies=[asker])
    async def send(sha256: Sha256, request: Request, response: Response) -> Upload:
        """Keep the file in the body; sending it again is harmless."""
        known = await uploads.find(sha256)
        if known is not None:
            response.status_code = 200
            return known
        return await uploads.add(sha256, request.stream())

    @router.get("/artifacts/{sha256}", dependencies=[asker])
    async def about(sha256: Sha256) -> Upload:
        upload = await uploads.find(sha256)
        if upload is None:
            raise NoDeviceError(f"no file {sha256} has been sent to this lab")
        return upload

    return router


def measuring(desk: Desk, guard: Guard, uploads: Uploads) -> APIRouter:
    """Return the routes for whoever may ask for measurements."""
    router = APIRouter(prefix=ROOT)
    asker = Depends(guard.needs("measure"))

    @router.put("/requests/{key}")
    async def ask(key: Name, submission: Submission, who: Annotated[Grant, asker], wait: _Seconds = 0) -> Ticket:
        """Put the request *key*, which may be there already, and wait up to *wait* seconds for its end."""
        ticket = await _submitted(key, submission, who)
        if ticket.upload or ticket.measurement or ticket.problem or not wait:
            return ticket
        return await desk.wait(key, wait)

    async def _submitted(key: str, submission: Submission, who: Grant) -> Ticket:
        upload = await uploads.find(submission.sha256)
        if upload is not None and upload.fingerprint != submission.fingerprint:
            raise UploadError(
                f"the file {submission.sha256[:12]} holds the graph {upload.fingerprint[:12]}, "
                f"not {submission.fingerprint[:12]} as the request says"
            )
        named = submission if submission.search else submission.model_copy(update={"search": who.name})
        return await desk.submit(key, named, uploads.path_of(submission.sha256) if upload else None)

    @router.get("/requests/{key}", dependencies=[Depends(guard.needs("read"))])
    async def stands(key: Name, wait: _Seconds = 0) -> Ticket:
        ticket = await desk.ticket(key)
        if ticket is None:
            raise NoDeviceError(f"nobody made a request {key!r}")
        return await desk.wait(key, wait) if wait else ticket

    return router

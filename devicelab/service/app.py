"""The service's application: the routes behind one door, and every error in the words of ``devicelab.api``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from devicelab.api import STATUSES, Problem
from devicelab.errors import DeviceLabError
from devicelab.service import pages
from devicelab.service.auth import Tokens
from devicelab.service.desk import Desk
from devicelab.service.guard import Guard, NotLoggedInError
from devicelab.service.metrics import exposition
from devicelab.service.routes.looking import entering, looking, page, static_files
from devicelab.service.routes.measuring import measuring, sending
from devicelab.service.routes.operating import operating
from devicelab.service.routes.reading import reading
from devicelab.service.routes.working import reporting, working
from devicelab.service.uploads import Uploads

MAX_BODY_BYTES = 1 << 16
"""Most bytes of a request's body, a network's file excepted."""


def create_app(desk: Desk, tokens: Tokens, uploads: Uploads, max_upload_bytes: int) -> FastAPI:
    """Return the application that serves *desk* to whoever *tokens* knows; networks are kept in *uploads*."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await desk.open()
        try:
            yield
        finally:
            desk.close()

    app = FastAPI(
        title="device lab",
        lifespan=lifespan,
        max_body_size=MAX_BODY_BYTES,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry={"tracing": False},
    )
    guard = Guard(tokens)
    app.include_router(reading(desk, guard))
    for router in (
        reading(desk, guard),
        sending(guard, uploads, max_upload_bytes),
        measuring(desk, guard, uploads),
        operating(desk, guard),
        working(desk, guard, uploads),
        reporting(desk, guard),
        looking(desk, guard),
        entering(guard),
    ):
        app.include_router(router)
    app.mount("/static", static_files())

    @app.get("/metrics", dependencies=[Depends(guard.needs("read"))])
    async def metrics() -> Response:
        content, kind = exposition(desk.view())
        return Response(content, media_type=kind)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    app.add_exception_handler(DeviceLabError, _refuse)  # type: ignore[arg-type] # Starlette's type is too narrow
    app.add_exception_handler(RequestValidationError, _refuse_input)  # type: ignore[arg-type] # the same
    return app


async def _refuse(request: Request, error: DeviceLabError) -> Response:
    """Say what is wrong: to a browser that asks for a page by the login page, to everybody else as JSON."""
    status = 401 if isinstance(error, NotLoggedInError) else STATUSES.get(Problem.of(error).kind, 500)
    if status == 401 and "text/html" in request.headers.get("accept", ""):
        return page(pages.login_page(request.url.path), status=401)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse(Problem.of(error).model_dump(), status_code=status, headers=headers)


async def _refuse_input(_: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return JSONResponse({"kind": "ConfigError", "message": f"{place}: {first['msg']}"}, status_code=422)

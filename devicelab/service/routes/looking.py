"""Routes for people: log in, look at the wall and at one phone, and see them change."""

from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles

from devicelab.api import Name
from devicelab.errors import NoDeviceError
from devicelab.service import pages, sse
from devicelab.service.auth import Grant
from devicelab.service.desk import Desk
from devicelab.service.guard import Guard, forget, remember
from devicelab.service.views import PhoneView

MAX_FORM_BYTES = 4096


def looking(desk: Desk, guard: Guard) -> APIRouter:
    """Return the routes of the web page."""
    router = APIRouter(include_in_schema=False)
    reader = Depends(guard.needs("read"))

    @router.get("/")
    async def wall(who: Annotated[Grant, reader]) -> HTMLResponse:
        return page(pages.wall_page(desk.view(), who))

    @router.get("/phones/{name}")
    async def phone(name: Name, who: Annotated[Grant, reader]) -> HTMLResponse:
        return page(pages.phone_page(_phone(desk, name), await desk.history(name), who))

    @router.get("/pages/stream", dependencies=[reader])
    async def stream(phone: Annotated[Name | None, Query()] = None) -> StreamingResponse:
        async def draw(touched: frozenset[str] | None) -> sse.Fragments:
            if phone is None:
                return pages.wall_fragments(desk.view(), touched)
            if touched is not None and phone not in touched:
                return {}
            return pages.phone_fragments(_phone(desk, phone), await desk.history(phone))

        if phone is not None:
            _phone(desk, phone)
        return StreamingResponse(sse.fragments(desk.feed, draw), media_type="text/event-stream", headers=sse.HEADERS)

    return router


def entering(guard: Guard) -> APIRouter:
    """Return the routes by which a browser comes and goes."""
    router = APIRouter(include_in_schema=False)

    @router.post("/login", max_body_size=MAX_FORM_BYTES)
    async def login(request: Request) -> Response:
        form = parse_qs((await request.body()).decode(errors="replace"))
        token, target = form.get("token", [""])[0].strip(), local_path(form.get("next", ["/"])[0])
        if guard.known(token) is None:
            return page(pages.login_page(target, "That token is not known to this lab."), status=401)
        response = RedirectResponse(target, status_code=303)
        remember(response, token, secure=request.url.scheme == "https")
        return response

    @router.post("/logout")
    async def logout() -> Response:
        response = RedirectResponse("/", status_code=303)
        forget(response)
        return response

    return router


def static_files() -> StaticFiles:
    """Return the sheet, the script and the icon: the only things that anybody may read."""
    return StaticFiles(directory=Path(pages.FOLDER) / "static")


def page(html: str, status: int = 200) -> HTMLResponse:
    """Return *html* with headers that let a browser load nothing from elsewhere."""
    return HTMLResponse(html, status_code=status, headers=pages.SECURITY_HEADERS)


def local_path(target: str) -> str:
    """Return *target* if it is a path of this site, else ``/``: a login must not lead to somebody else's page."""
    is_local = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if is_local else "/"


def _phone(desk: Desk, name: str) -> PhoneView:
    found = next((phone for phone in desk.view().phones if phone.name == name), None)
    if found is None:
        raise NoDeviceError(f"this lab has no phone {name!r}")
    return found

"""The door: who is asking, and may they? As dependencies of the routes.

A program sends ``Authorization: Bearer TOKEN``. A browser cannot send a header with a live stream, so the login page
puts the token into a cookie that no script can read and no other site can use; what changes something additionally
needs the header ``X-Fer-Lab``, which a form on another site cannot set.
"""

from collections.abc import Awaitable, Callable

from fastapi import Request
from starlette.responses import Response

from devicelab.errors import AccessError
from devicelab.service.auth import Grant, Right, Tokens

COOKIE = "fer_lab_token"
PAGE_HEADER = "X-Fer-Lab"
_SAFE = {"GET", "HEAD"}


class NotLoggedInError(AccessError):
    """Nobody that the lab knows: status 401, where other access errors are 403."""


class Guard:
    """Asks *tokens* who a request comes from."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def who(self, request: Request) -> Grant:
        """Return whose token *request* carries.

        Raises:
            NotLoggedInError: it carries none, or one that is not known.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.casefold() != "bearer":
            token = self._cookie(request)
        grant = self._tokens.who(token.strip()) if token else None
        if grant is None:
            raise NotLoggedInError("no valid token; send the header  Authorization: Bearer TOKEN")
        return grant

    def needs(self, right: Right) -> Callable[[Request], Awaitable[Grant]]:
        """Return a dependency that lets only those through who have *right*, and says who they are."""

        async def dependency(request: Request) -> Grant:
            grant = self.who(request)
            if not grant.allows(right):
                raise AccessError(
                    f"{grant.name} is {grant.role} and may not {right}; ask an operator for another token"
                )
            return grant

        return dependency

    def known(self, token: str) -> Grant | None:
        """Return whose *token* it is, or None."""
        return self._tokens.who(token)

    def _cookie(self, request: Request) -> str:
        if request.method not in _SAFE and PAGE_HEADER not in request.headers:
            return ""
        return request.cookies.get(COOKIE, "")


def remember(response: Response, token: str, *, secure: bool) -> None:
    """Put *token* into the browser's cookie for 30 days; *secure* says that the page came over TLS."""
    response.set_cookie(COOKIE, token, max_age=30 * 86400, httponly=True, samesite="strict", secure=secure)


def forget(response: Response) -> None:
    """Take the token out of the browser's cookie."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")

"""Routes for operators: act on a phone. Who did it and why is kept in the event log."""

from typing import Annotated

from fastapi import APIRouter, Depends

from devicelab.api import ROOT, Action, Name, Order
from devicelab.service.auth import Grant
from devicelab.service.desk import Desk
from devicelab.service.guard import Guard


def operating(desk: Desk, guard: Guard) -> APIRouter:
    """Return the routes for operators."""
    router = APIRouter(prefix=ROOT)

    @router.post("/devices/{name}/{action}")
    async def act(
        name: Name, action: Action, order: Order, who: Annotated[Grant, Depends(guard.needs("operate"))]
    ) -> dict[str, str]:
        await desk.operate(name, action, who.name, order.why)
        return {"device": name, "action": action, "who": who.name, "why": order.why}

    return router

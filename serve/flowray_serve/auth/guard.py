"""Stands before every route: finds out who calls, and lets through whoever may do what the route needs."""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol

from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from flowray.errors import FlowRayError, ForbiddenError
from flowray.tenancy.permissions import Permission, allows, smallest_role
from flowray.tenancy.principal import Principal
from flowray_serve.auth.authenticator import let_in
from flowray_serve.auth.needs import UndeclaredRouteError, declared

PERMISSION_IN_OPENAPI = "x-flowray-permission"
_POLICY_VIOLATION, _TRY_AGAIN_LATER = 1008, 1013


class Identifies(Protocol):
    """Finds out who calls."""

    async def identify(self, connection: HTTPConnection) -> Principal:
        """The caller; `UnauthorizedError` when nobody can be told from it."""


class Guard:
    """The application of one route, behind its check."""

    def __init__(self, app: ASGIApp, permission: Permission, identifies: Identifies) -> None:
        self._app = app
        self._permission = permission
        self._identifies = identifies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on."""
        try:
            caller = await self._identifies.identify(HTTPConnection(scope))
            if not allows(caller.roles, self._permission):
                raise _too_small(caller, self._permission)
        except FlowRayError as error:
            if scope["type"] != "websocket":
                raise
            again = error.status >= HTTPStatus.TOO_MANY_REQUESTS
            code = _TRY_AGAIN_LATER if again else _POLICY_VIOLATION
            await send({"type": "websocket.close", "code": code, "reason": error.message[:100]})
            return
        let_in(scope, caller)
        await self._app(scope, receive, send)


def guarded(route: BaseRoute, identifies: Identifies) -> BaseRoute:
    """The route, with its check before it; `UndeclaredRouteError` when it says not who may use it."""
    if not isinstance(route, Route | WebSocketRoute | Mount):
        raise UndeclaredRouteError(f"{route!r} is no route that can be guarded.")
    permission = declared(route.app if isinstance(route, Mount) else route.endpoint, route.path)
    if hasattr(route, "openapi_extra"):
        route.openapi_extra = {**(route.openapi_extra or {}), **_described(permission)}
    if permission is not None:
        route.app = Guard(route.app, permission, identifies)
    return route


def _described(permission: Permission | None) -> dict[str, object]:
    if permission is None:
        return {"security": []}
    return {PERMISSION_IN_OPENAPI: permission.value}


def _too_small(caller: Principal, permission: Permission) -> ForbiddenError:
    has = ", ".join(sorted(caller.roles)) or "none"
    return ForbiddenError(f"`{permission}` takes the role {smallest_role(permission)}; this caller's is {has}.")

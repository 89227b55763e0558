"""Stands before every route: finds out who calls, lets through whoever may do what the route needs, and notes it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowray.errors import FlowRayError, ForbiddenError
from flowray.tenancy.permissions import Permission, require
from flowray.tenancy.principal import Principal
from flowray_serve.auth.auditing import Auditor
from flowray_serve.auth.authenticator import let_in
from flowray_serve.auth.needs import UndeclaredRouteError, declared, only_tells
from flowray_serve.auth.open_requests import OpenRequests

PERMISSION_IN_OPENAPI = "x-flowray-permission"
_POLICY_VIOLATION, _TRY_AGAIN_LATER = 1008, 1013


class Identifies(Protocol):
    """Finds out who calls."""

    async def identify(self, connection: HTTPConnection) -> Principal:
        """The caller; `UnauthorizedError` when nobody can be told from it."""

    def source(self, connection: HTTPConnection) -> str:
        """Where the request comes from."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What guards stand on: who finds out who calls, who notes what they do, and how many may be inside."""

    identifies: Identifies
    auditor: Auditor | None = None
    open_requests: OpenRequests = field(default_factory=OpenRequests)


class Guard:
    """The application of one route, behind its check."""

    def __init__(self, app: ASGIApp, permission: Permission, gate: Gate, *, only_tells: bool = False) -> None:
        self._app = app
        self._permission = permission
        self._gate = gate
        self._only_tells = only_tells

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on."""
        with ExitStack() as inside:
            try:
                caller = await self._gate.identifies.identify(HTTPConnection(scope))
                inside.enter_context(self._gate.open_requests.one_of(caller.tenant))
                self._require_power(scope, caller)
                is_due = self._is_due(scope)
            except FlowRayError as error:
                if scope["type"] != "websocket":
                    raise
                await _turn_away(error, send)
                return
            let_in(scope, caller)
            await self._pass_on(scope, receive, send, caller, is_due=is_due)

    def _require_power(self, scope: Scope, caller: Principal) -> None:
        try:
            require(caller, self._permission)
        except ForbiddenError:
            self._note(scope, caller, HTTPStatus.FORBIDDEN)
            raise

    def _is_due(self, scope: Scope) -> bool:
        if self._only_tells or self._gate.auditor is None:
            return False
        return self._gate.auditor.is_due(scope, self._permission)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, caller: Principal, *, is_due: bool) -> None:
        """What is refused is noted in any case: what a body asks for may take more than its route."""
        status = int(HTTPStatus.INTERNAL_SERVER_ERROR)

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status) if message["type"] == "http.response.start" else status
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except FlowRayError as error:
            status = error.status
            raise
        finally:
            if is_due or status == HTTPStatus.FORBIDDEN:
                self._note(scope, caller, status)

    def _note(self, scope: Scope, caller: Principal, status: int) -> None:
        if self._gate.auditor is not None:
            source = self._gate.identifies.source(HTTPConnection(scope))
            self._gate.auditor.note(scope, caller, self._permission, status=status, source=source)


def guarded(route: BaseRoute, gate: Gate) -> BaseRoute:
    """The route, with its check before it; `UndeclaredRouteError` when it says not who may use it."""
    if not isinstance(route, Route | WebSocketRoute | Mount):
        raise UndeclaredRouteError(f"{route!r} is no route that can be guarded.")
    endpoint = route.app if isinstance(route, Mount) else route.endpoint
    permission = declared(endpoint, route.path)
    if hasattr(route, "openapi_extra"):
        route.openapi_extra = {**(route.openapi_extra or {}), **_described(permission)}
    if permission is not None:
        route.app = Guard(route.app, permission, gate, only_tells=only_tells(endpoint))
    return route


async def _turn_away(error: FlowRayError, send: Send) -> None:
    code = _TRY_AGAIN_LATER if error.status >= HTTPStatus.TOO_MANY_REQUESTS else _POLICY_VIOLATION
    await send({"type": "websocket.close", "code": code, "reason": error.message[:100]})


def _described(permission: Permission | None) -> dict[str, object]:
    if permission is None:
        return {"security": []}
    return {PERMISSION_IN_OPENAPI: permission.value}

"""Counts every request, whatever answers it."""

from __future__ import annotations

import time
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowray.engine.codec import loads
from flowray.observe import families as of
from flowray.observe.meter import Meter
from flowray_serve.auth import known_caller
from flowray_serve.problem_document import MEDIA_TYPE

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Nginx's word for a caller who was gone before there was an answer.
_GONE = "499"


class Counted:
    """Outermost but for what answers browsers: what is refused has to be seen as well."""

    def __init__(self, app: ASGIApp, *, meter: Meter) -> None:
        self._app = app
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and count the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seen = _Seen(scope, send, self._meter)
        try:
            await self._app(scope, receive, seen)
        finally:
            seen.gone()


class _Seen:
    """One request while it is answered."""

    def __init__(self, scope: Scope, send: Send, meter: Meter) -> None:
        self._scope = scope
        self._send = send
        self._meter = meter
        self._began = time.perf_counter()
        self._status = _GONE
        self._is_problem = False
        self._is_counted = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begin(message)
        elif self._is_problem and not self._is_counted:
            self._count(_code(message.get("body", b"")))
        await self._send(message)

    def gone(self) -> None:
        """Nothing more is sent."""
        if not self._is_counted:
            self._count()

    def _begin(self, start: Message) -> None:
        self._status = str(int(start["status"]))
        self._meter.tally.note(
            of.HTTP_SECONDS, self._tenant(), self._route(), seconds=time.perf_counter() - self._began
        )
        if start["status"] >= HTTPStatus.BAD_REQUEST:
            kind = Headers(raw=list(start.get("headers", ()))).get("content-type", "")
            self._is_problem = kind.startswith(MEDIA_TYPE)
        if not self._is_problem:
            self._count()

    def _count(self, code: str = "") -> None:
        self._is_counted = True
        method = self._scope["method"] if self._scope["method"] in _METHODS else "other"
        self._meter.tally.add(of.HTTP_REQUESTS, self._tenant(), method, self._route(), self._status, code)

    def _tenant(self) -> str:
        caller = known_caller(self._scope)
        return caller.tenant if caller else ""

    def _route(self) -> str:
        """The route as the description has it; empty for what is none."""
        return getattr(self._scope.get("route"), "path", "")


def _code(body: bytes) -> str:
    """The code of a problem document; empty where there is none: what is odd is counted, and goes on as it is."""
    try:
        said = loads(body)
    except (ValueError, RecursionError):
        return ""
    code = said.get("code") if isinstance(said, dict) else None
    return code if isinstance(code, str) else ""

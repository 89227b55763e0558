"""What every request is bounded by before a route sees it: the size of its head, and how long its body may take."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowray.errors import FlowRayError, InvalidRequestError
from flowray_serve.problems import problem

log = logging.getLogger(__name__)


class HeadTooLargeError(InvalidRequestError):
    """The headers and the path are larger than any real request's."""

    code = "head_too_large"
    status = 431


class EncodingUnsupportedError(InvalidRequestError):
    """The body is compressed; how much it would become is anybody's guess."""

    code = "encoding_unsupported"
    status = 415


class SlowBodyError(InvalidRequestError):
    """The body comes too slowly."""

    code = "body_too_slow"
    status = 408


@dataclass(frozen=True, kw_only=True)
class HeadLimits:
    """How large a head may be, and how long a body may take: some time, and more for what has come already."""

    head_bytes: int = 32 * 1024
    headers: int = 100
    body_s: float = 30.0
    body_bytes_per_s: int = 64 * 1024


class Bounds:
    """Answers what is out of bounds with a problem document, and closes the connection of who is too slow."""

    def __init__(self, app: ASGIApp, *, limits: HeadLimits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the head, then watch the body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except FlowRayError as error:
            log.warning("Refused", extra={"action": "out_of_bounds", "code": error.code, "path": scope["path"][:200]})
            response = problem(error, instance=scope["path"][:200])
            response.headers["connection"] = "close"
            await response(scope, receive, send)
            return
        await self._app(scope, _Watched(receive, self._limits), send)

    def _check(self, scope: Scope) -> None:
        headers = scope["headers"]
        size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        size += sum(len(name) + len(value) for name, value in headers)
        if size > self._limits.head_bytes or len(headers) > self._limits.headers:
            raise HeadTooLargeError(
                f"The head of the request is too large: at most {self._limits.head_bytes:,} bytes "
                f"and {self._limits.headers} headers."
            )
        encodings = {value.strip().lower() for name, value in headers if name == b"content-encoding"}
        if encodings - {b"", b"identity"}:
            raise EncodingUnsupportedError("`content-encoding`: send the body as it is; compressed ones are not read.")


class _Watched:
    """A request's messages, with a limit to the wait for its body."""

    def __init__(self, receive: Receive, limits: HeadLimits) -> None:
        self._receive = receive
        self._limits = limits
        self._began: float | None = None
        self._size = 0
        self._is_complete = False

    async def __call__(self) -> Message:
        if self._is_complete:
            return await self._receive()
        now = asyncio.get_running_loop().time()
        self._began = now if self._began is None else self._began
        until = self._began + self._limits.body_s + self._size / self._limits.body_bytes_per_s
        try:
            async with asyncio.timeout_at(until):
                message = await self._receive()
        except TimeoutError as cause:
            raise SlowBodyError("The body of the request comes too slowly; send it again, in one go.") from cause
        self._size += len(message.get("body", b""))
        self._is_complete = message["type"] != "http.request" or not message.get("more_body", False)
        return message

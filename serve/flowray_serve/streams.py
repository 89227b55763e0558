"""Events on the wire while they happen: server-sent events, and the bare frames Langflow's v1 streams are made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.responses import StreamingResponse
from starlette.types import Send

from flowray.engine.codec import dumps

_T = TypeVar("_T")

_KEEP_ALIVE_S = 15.0
_KEEP_ALIVE = b": keep-alive\n\n"
# Without the second header nginx-like proxies hold frames back until their buffer is full.
_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


class EventStream(StreamingResponse):
    """A stream that closes its source however it ends, so that a run nobody listens to is not left to the garbage."""

    media_type = "text/event-stream"

    def __init__(self, source: AsyncGenerator[bytes, None], *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(source, headers={**_HEADERS, **(headers or {})})
        self._source = source

    async def stream_response(self, send: Send) -> None:
        """Send the frames, then close the source."""
        try:
            await super().stream_response(send)
        finally:
            await self._source.aclose()


def sse(data: bytes, *, seq: int, event: str = "") -> bytes:
    """One server-sent event. `data` is JSON, so it has no line ends of its own."""
    named = f"event: {event}\n" if event else ""
    return f"id: {seq}\n{named}data: ".encode() + data + b"\n\n"


def langflow_frame(event: str, data: Any) -> bytes:
    """One frame of Langflow's v1 stream: JSON and an empty line, without the `data:` of server-sent events."""
    return dumps({"event": event, "data": data}) + b"\n\n"


async def commented(frames: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Server-sent events, and a comment whenever there was none for long. Langflow's v1 streams know no comments."""
    async with aclosing(frames), aclosing(kept_alive(frames)) as alive:
        async for frame in alive:
            yield _KEEP_ALIVE if frame is None else frame


async def kept_alive(source: AsyncIterator[_T], *, every_s: float = _KEEP_ALIVE_S) -> AsyncGenerator[_T | None, None]:
    """What `source` yields, and None whenever it has been silent for so long that a proxy might hang up."""
    pending: asyncio.Task[_T | _End] | None = None
    try:
        while True:
            pending = pending or asyncio.create_task(_next(source), name="next event of a stream")
            done, _ = await asyncio.wait({pending}, timeout=every_s)
            if not done:
                yield None
                continue
            value, pending = pending.result(), None
            if isinstance(value, _End):
                return
            yield value
    finally:
        if pending is not None:
            pending.cancel()
            await asyncio.wait({pending})
            if not pending.cancelled():
                pending.exception()  # nobody is left to hear of it


class _End:
    """Marks the end of a source."""


async def _next(source: AsyncIterator[_T]) -> _T | _End:
    return await anext(source, _End())


class JsonStream(StreamingResponse):
    """A JSON list whose items are sent as they are read."""

    media_type = "application/json"

    def __init__(self, items: AsyncGenerator[bytes, None]) -> None:
        super().__init__(_listed(items))


async def _listed(items: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    opening = b"["
    async for item in items:
        yield opening + item
        opening = b","
    yield b"[]" if opening == b"[" else b"]"

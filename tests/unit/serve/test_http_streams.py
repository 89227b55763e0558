"""Frames and streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, MutableMapping
from typing import Any

import orjson
import pytest

from flowray.errors import StoreUnavailableError
from flowray_serve.streams import EventStream, kept_alive, langflow_frame, sse


def test_an_sse_frame_carries_its_seq_and_kind() -> None:
    assert sse(b'{"a":1}', seq=7, event="Token") == b'id: 7\nevent: Token\ndata: {"a":1}\n\n'


def test_a_langflow_frame_is_bare_json_and_an_empty_line() -> None:
    frame = langflow_frame("token", {"chunk": "a\nb", "id": "m"})
    assert frame.endswith(b"}\n\n")
    assert orjson.loads(frame) == {"event": "token", "data": {"chunk": "a\nb", "id": "m"}}


async def test_a_silent_source_is_kept_alive() -> None:
    speak = asyncio.Event()

    async def source() -> AsyncGenerator[str, None]:
        await speak.wait()
        yield "x"

    stream = kept_alive(source(), every_s=0.001)
    assert await anext(stream) is None
    speak.set()
    heard = [value async for value in stream]
    assert [value for value in heard if value] == ["x"]


async def test_closing_a_kept_alive_stream_ends_its_wait() -> None:
    ended = asyncio.Event()

    async def source() -> AsyncGenerator[str, None]:
        try:
            await asyncio.Event().wait()
            yield "never"
        finally:
            ended.set()

    stream = kept_alive(source(), every_s=0.001)
    await anext(stream)
    await stream.aclose()
    assert ended.is_set()


async def test_closing_a_kept_alive_stream_whose_source_has_just_failed_raises_nothing() -> None:
    fail = asyncio.Event()

    async def source() -> AsyncGenerator[str, None]:
        await fail.wait()
        raise StoreUnavailableError("no answer")
        yield "never"

    stream = kept_alive(source(), every_s=0.001)
    await anext(stream)
    fail.set()
    for _ in range(5):
        await asyncio.sleep(0)
    await stream.aclose()


async def test_a_stream_closes_its_source_when_the_client_is_gone() -> None:
    closed = asyncio.Event()

    async def source() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"x"
        finally:
            closed.set()

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await EventStream(source()).stream_response(send)
    assert closed.is_set()

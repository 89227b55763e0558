"""Frames and streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, MutableMapping
from functools import partial
from typing import Any

import orjson
import pytest

from flowray.errors import StoreUnavailableError
from flowray_serve import streams
from flowray_serve.streams import EventStream, commented, kept_alive, langflow_frame, sse
from tests.unit.serve.service import ECHO, service


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


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever does not come at once is a silence."""
    monkeypatch.setattr(streams, "kept_alive", partial(kept_alive, every_s=0))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/api/v2/workflows", {"flow_id": "{}", "mode": "stream"}),
        ("/api/v2/workflows", {"flow_id": "{}", "mode": "stream", "stream_protocol": "agui"}),
        ("/v1/chat/completions", {"model": "{}", "messages": [{"role": "user", "content": "hello"}], "stream": True}),
        ("/api/v1/responses", {"model": "{}", "input": "hello", "stream": True}),
    ],
)
async def test_a_stream_of_server_sent_events_is_not_silent_while_its_flow_is(path: str, asked: dict[str, Any]) -> None:
    made = service()
    flow = await made.publish(ECHO)
    filled = {key: value.format(flow) if isinstance(value, str) else value for key, value in asked.items()}

    answer = await made.http.post(path, json=filled)

    told = [one for one in answer.text.split("\n\n") if one]
    assert ": keep-alive" in told
    assert "data: " in told[-1]


@pytest.mark.usefixtures("impatient")
async def test_langflow_s_own_stream_has_no_comments_which_its_clients_would_read_as_json() -> None:
    made = service()
    flow = await made.publish(ECHO)

    answer = await made.http.post(f"/api/v1/run/{flow}?stream=true", json={"input_value": "hello"})

    told = [orjson.loads(line) for line in answer.text.splitlines() if line]
    assert told[-1]["event"] == "end"


@pytest.mark.usefixtures("impatient")
async def test_closing_a_commented_stream_closes_its_source_also_between_two_frames() -> None:
    closed = asyncio.Event()

    async def source() -> AsyncGenerator[bytes, None]:
        try:
            yield b"x"
            yield b"never"
        finally:
            closed.set()

    stream = commented(source())
    while await anext(stream) != b"x":
        pass
    await stream.aclose()
    assert closed.is_set()

"""Who reads along with a run: it may be slow, it may leave, it may come back."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import orjson
import pytest

from flowray_serve.routes.application import build_app
from tests.unit.serve.service import ECHO, KEY, OTHER_KEY, Held, Service, service


class Reader:
    """An ASGI client that reads a stream until it leaves."""

    def __init__(self, made: Service, path: str, query: bytes = b"") -> None:
        self.left = asyncio.Event()
        self.began = asyncio.Event()
        self.heard: list[bytes] = []
        self._sent = False
        headers = [(b"x-api-key", KEY.encode())]
        self._scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "headers": headers,
            "http_version": "1.1",
            "scheme": "http",
            "server": ("t", 80),
            "client": ("c", 1),
        }
        self._app = build_app(made.services)

    async def read(self) -> None:
        await self._app(self._scope, self._receive, self._send)

    async def _receive(self) -> MutableMapping[str, Any]:
        if not self._sent:
            self._sent = True
            return {"type": "http.request", "body": b"{}", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        self.heard.append(message.get("body", b""))
        self.began.set()


async def left_while_held(query: bytes) -> tuple[Service, Held]:
    made = service()
    flow_id = await made.publish(ECHO)
    made.steps.script = held = Held()
    reader = Reader(made, f"/api/v1/run/{flow_id}", query)
    reading = asyncio.create_task(reader.read())
    await held.began.wait()
    reader.left.set()
    await asyncio.wait_for(reading, 5)
    return made, held


async def test_a_reader_that_leaves_a_stream_leaves_the_run_alone() -> None:
    made, held = await left_while_held(b"stream=true")
    run = made.steps.requests[0].run

    assert not held.ended.is_set()
    assert (await made.http.get(f"/api/v1/runs/{run}")).json()["status"] == "running"
    assert (await made.http.post(f"/api/v1/runs/{run}/cancel")).json()["status"] == "cancelled"


async def test_a_reader_may_want_its_run_stopped_when_it_leaves() -> None:
    _, held = await left_while_held(b"stream=true&cancel_on_disconnect=1")

    await asyncio.wait_for(held.ended.wait(), 5)


class Socket:
    """A WebSocket client that says what it is told to."""

    def __init__(self, made: Service, path: str, query: bytes = b"", key: str = KEY) -> None:
        self.messages: list[dict[str, Any]] = []
        self.ended: dict[str, Any] = {}
        self.to_say: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self.to_say.put_nowait({"type": "websocket.connect"})
        self._scope = {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "scheme": "ws",
            "headers": [(b"x-api-key", key.encode())],
            "subprotocols": [],
            "state": {},
            "http_version": "1.1",
            "server": ("t", 80),
            "client": ("c", 1),
        }
        self._app = build_app(made.services)

    async def talk(self) -> None:
        await self._app(self._scope, self.to_say.get, self._send)

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "websocket.send":
            self.messages.append(orjson.loads(message["text"]))
        elif message["type"] == "websocket.close":
            self.ended = dict(message)


async def finished_run(made: Service) -> str:
    flow_id = await made.publish(ECHO)
    await made.http.post(f"/api/v1/run/{flow_id}", json={"input_value": "hi"})
    return str(made.steps.requests[0].run)


async def test_a_run_is_told_over_a_socket_from_where_its_reader_left() -> None:
    made = service()
    run = await finished_run(made)
    socket, later = Socket(made, f"/api/v1/runs/{run}/socket"), Socket(made, f"/api/v1/runs/{run}/socket", b"after=3")

    await socket.talk()
    await later.talk()

    assert [message["seq"] for message in socket.messages] == list(range(1, len(socket.messages) + 1))
    assert socket.messages[-1]["kind"] == "run_finished"
    assert socket.ended["code"] == 1000
    assert later.messages == socket.messages[3:]


async def test_a_run_is_stopped_over_its_socket() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    made.steps.script = held = Held()
    running = asyncio.create_task(made.http.post(f"/api/v1/run/{flow_id}", json={}))
    await held.began.wait()
    socket = Socket(made, f"/api/v1/runs/{made.steps.requests[0].run}/socket")
    socket.to_say.put_nowait({"type": "websocket.receive", "text": "cancel"})

    await asyncio.wait_for(socket.talk(), 5)

    assert (await running).status_code == 409
    assert socket.messages[-1]["status"] == "cancelled"


@pytest.mark.parametrize(("run", "key"), [("unknown", KEY), ("..%2f", KEY), (None, "fr-wrong"), (None, OTHER_KEY)])
async def test_a_socket_to_a_run_that_is_not_there_or_not_ones_own_is_closed(run: str | None, key: str) -> None:
    made = service()
    mine = await finished_run(made)
    socket = Socket(made, f"/api/v1/runs/{run or mine}/socket", key=key)

    await asyncio.wait_for(socket.talk(), 5)

    assert (socket.messages, socket.ended["code"]) == ([], 1008)

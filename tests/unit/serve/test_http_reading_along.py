"""Who reads along with a run: it may be slow, it may leave, it may come back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest

from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.ports import RunRequest
from flowray.engine.values import Ref
from tests.unit.serve.service import ECHO, KEY, Held, Service, service


class Reader:
    """An ASGI client that reads a stream until it leaves."""

    def __init__(self, made: Service, path: str, query: bytes = b"", body: bytes = b"{}") -> None:
        self.left = asyncio.Event()
        self.began = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()
        self.heard: list[bytes] = []
        self._body = body
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
        self._app = made.app

    async def read(self) -> None:
        await self._app(self._scope, self._receive, self._send)

    async def _receive(self) -> MutableMapping[str, Any]:
        if not self._sent:
            self._sent = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        self.heard.append(message.get("body", b""))
        self.began.set()
        if message.get("body"):
            await self.reads.wait()


class Socket:
    """An ASGI client that follows a run's journal over a WebSocket; what it says is put in `says`."""

    def __init__(self, made: Service, run: str) -> None:
        self.heard: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self.says: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self.says.put_nowait({"type": "websocket.connect"})
        path = f"/api/v1/runs/{run}/ws"
        headers = [(b"x-api-key", KEY.encode())]
        self._scope = {"type": "websocket", "path": path, "query_string": b"", "headers": headers, "client": ("c", 1)}
        self._app = made.app
        self.reading = asyncio.create_task(self._read())

    async def kinds(self) -> AsyncIterator[str]:
        """The kinds of what it hears, until the socket is closed."""
        while (heard := await self.heard.get())["type"] != "websocket.close":
            yield json.loads(heard["text"])["kind"] if "text" in heard else heard["type"]

    async def _read(self) -> None:
        await self._app(self._scope, self.says.get, self.heard.put)


class Flood:
    """A step that speaks without end."""

    def __init__(self) -> None:
        self.began, self.said = asyncio.Event(), 0

    async def __call__(self, request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
        (node, *_) = request.plan.by_id[step.step].nodes
        while True:
            self.began.set()
            self.said += 1
            yield ev.Token(node=node, text="w", message="m")
            await asyncio.sleep(0)

    async def has_to_wait(self) -> None:
        """Wait until it says no more."""
        await self.began.wait()
        before = -1
        while before != self.said:
            before = self.said
            for _ in range(50):
                await asyncio.sleep(0)


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


async def test_the_reader_of_a_stream_with_comments_may_want_its_run_stopped_too_when_it_leaves() -> None:
    made = service()
    asked = {"flow_id": await made.publish(ECHO), "mode": "stream"}
    made.steps.script = held = Held()
    reader = Reader(made, "/api/v2/workflows", b"cancel_on_disconnect=1", json.dumps(asked).encode())
    reading = asyncio.create_task(reader.read())
    await held.began.wait()

    reader.left.set()

    await asyncio.wait_for(reading, 5)
    await asyncio.wait_for(held.ended.wait(), 5)


async def test_a_run_whose_reader_stands_still_can_be_stopped_and_the_reader_hears_the_end() -> None:
    made = service()
    made.steps.script = flood = Flood()
    reader = Reader(made, f"/api/v1/run/{await made.publish(ECHO)}", b"stream=true")
    reader.reads.clear()
    reading = asyncio.create_task(reader.read())
    await flood.has_to_wait()
    run = made.steps.requests[0].run

    answer = await asyncio.wait_for(made.http.post(f"/api/v1/runs/{run}/cancel"), 5)
    reader.reads.set()
    await asyncio.wait_for(reading, 5)

    assert answer.json()["status"] == "cancelled"
    assert b"run_cancelled" in b"".join(reader.heard[-2:])


async def test_a_socket_that_is_dropped_is_let_go_though_its_run_says_nothing_more() -> None:
    made = service()
    made.steps.script = held = Held()
    running = asyncio.create_task(made.http.post(f"/api/v1/run/{await made.publish(ECHO)}", json={}))
    await held.began.wait()
    socket = Socket(made, made.steps.requests[0].run)
    async for kind in socket.kinds():
        if kind == "step_started":
            break

    socket.says.put_nowait({"type": "websocket.receive", "text": "still there?"})
    socket.says.put_nowait({"type": "websocket.disconnect"})

    await asyncio.wait_for(socket.reading, 5)
    assert not held.ended.is_set()
    held.go_on.set()
    await running


@pytest.mark.parametrize("run", ["🙂" * 60, "r" * 300], ids=["unicode", "long"])
async def test_a_socket_for_no_run_is_closed_with_a_reason_that_fits_into_its_frame(run: str) -> None:
    socket = Socket(service(), run)

    await asyncio.wait_for(socket.reading, 5)

    closed = [socket.heard.get_nowait() for _ in range(socket.heard.qsize())][-1]
    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
    assert closed["reason"].startswith("There is no run")
    assert len(closed["reason"].encode()) <= 123


async def test_a_socket_follows_a_run_to_its_end() -> None:
    made = service()
    await made.http.post(f"/api/v1/run/{await made.publish(ECHO)}", json={})

    socket = Socket(made, made.steps.requests[0].run)

    kinds = [kind async for kind in socket.kinds()]
    assert (kinds[:2], kinds[-1]) == (["websocket.accept", "run_accepted"], "run_finished")
    await asyncio.wait_for(socket.reading, 5)


async def test_a_large_value_that_cannot_be_read_back_ends_the_reading_and_not_the_run() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    held = Held()

    async def loses(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
        node = request.plan.by_id[step.step].nodes[0]
        yield ev.NodeFinished(node=node, outputs={}, result={}, result_ref=Ref(key="gone", size=1, sha256=""))
        async for event in held(request, step):
            yield event

    made.steps.script = loses
    stream = await asyncio.wait_for(made.http.post(f"/api/v1/run/{flow_id}?stream=true", json={}), 5)

    assert "The object store has no such object." in stream.text
    assert not held.ended.is_set()
    run = made.steps.requests[0].run
    assert (await made.http.get(f"/api/v1/runs/{run}")).json()["status"] == "running"
    assert (await made.http.post(f"/api/v1/runs/{run}/cancel")).json()["status"] == "cancelled"

"""Who reads along with a run: it may be slow, it may leave, it may come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.ports import RunRequest
from flowray.engine.values import Ref
from tests.unit.serve.service import ECHO, KEY, Held, Service, service


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
        self._app = made.app

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

"""The client against a whole service in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from flowray.client import AsyncClient, Client, ServiceUnreachableError
from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.failures import ComponentFailedError
from flowray.engine.ports import RunRequest
from flowray.errors import NotFoundError, UnauthorizedError
from tests.unit.serve.service import ECHO, KEY, Held, Service, echo, service


class Breaking(httpx.AsyncBaseTransport):
    """Breaks each connection after so many lines, and refuses some altogether."""

    def __init__(self, inner: httpx.AsyncBaseTransport, *, lines: int, refuse: int = 0) -> None:
        self._inner = inner
        self._lines = lines
        self._refuse = refuse
        self.connections = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.connections += 1
        if self.connections <= self._refuse:
            raise httpx.ConnectError("refused")
        response = await self._inner.handle_async_request(request)
        content = await response.aread()
        kept = b"\n".join(content.split(b"\n")[: self._lines]) + b"\n"

        async def broken() -> AsyncIterator[bytes]:
            yield kept
            if len(kept) < len(content):
                raise httpx.ReadError("reset")

        headers = {name: value for name, value in response.headers.items() if name != "content-length"}
        return httpx.Response(response.status_code, headers=headers, content=broken())


def client_of(made: Service, key: str = KEY) -> AsyncClient:
    return AsyncClient("http://flowray.test", key, transport=httpx.ASGITransport(app=made.app))


async def no_pause(_: float) -> None:
    await asyncio.sleep(0)


async def test_a_flow_is_published_listed_run_and_forgotten() -> None:
    async with client_of(service()) as client:
        published = await client.publish({**ECHO, "endpoint_name": "echo"})
        assert (published.created, published.name, published.findings) == (True, "Echo", ())
        assert (await client.publish({**ECHO, "endpoint_name": "echo"})).created is False
        assert [one.id for one in await client.flows()] == [published.id]
        assert (await client.flow("echo")).version == published.version
        answer = await client.run("echo", input_value="hi", session="s")
        assert (answer.text, answer.session) == ("hi", "s")
        (run,) = await client.runs()
        assert run["id"] == answer.run
        assert (await client.run_status(answer.run))["status"] == "succeeded"
        assert (await client.health())["status"] == "ok"
        await client.delete(published.id)
        with pytest.raises(NotFoundError):
            await client.flow("echo")


async def test_a_failed_run_raises_its_error() -> None:
    async def failing(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
        node = request.flow.nodes[0].id
        yield ev.StepFailed(step=step.step, kind="component", node=node, error="no key", traceback="tb")

    made = service()
    made.steps.script = failing
    async with client_of(made) as client:
        flow = await client.publish(ECHO)
        with pytest.raises(ComponentFailedError, match="no key") as caught:
            await client.run(flow.id, input_value="hi")
    assert caught.value.facts["traceback"] == "tb"
    assert caught.value.run


async def test_a_wrong_key_raises() -> None:
    async with client_of(service(), key="wrong") as client:
        with pytest.raises(UnauthorizedError):
            await client.flows()


async def test_a_stream_yields_frames() -> None:
    async with client_of(service()) as client:
        flow = await client.publish(ECHO)
        assert [frame["event"] async for frame in client.stream(flow.id, input_value="hi")] == ["end"]


OVER = {"id": "r1", "status": "failed"}
ENDS_OF_LINES = "one\u2028two\u2029three\x85four"


def speaking(made: Service) -> None:
    """The service's nodes log what has the ends of lines that Unicode knows beside the line feed."""

    async def said(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
        yield ev.Log(node=request.flow.nodes[0].id, text=ENDS_OF_LINES)
        async for one in echo(request, step):
            yield one

    made.steps.script = said


async def test_texts_may_have_other_ends_of_lines_than_the_line_feed() -> None:
    made = service()
    speaking(made)
    async with client_of(made) as client:
        flow = await client.publish(ECHO)
        [frame] = [one async for one in client.stream(flow.id, input_value=ENDS_OF_LINES) if one["event"] == "end"]
        (run,) = await client.runs()
        logs = [one.event.text async for one in client.events(run["id"]) if isinstance(one.event, ev.Log)]
    assert ENDS_OF_LINES in json.dumps(frame, ensure_ascii=False)
    assert set(logs) == {ENDS_OF_LINES}


def test_a_client_that_waits_reads_such_texts_too() -> None:
    body = json.dumps({"event": "token", "data": {"chunk": ENDS_OF_LINES}}, ensure_ascii=False) + "\r\n"

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=iter([body[:40].encode(), body[40:].encode()]))

    with Client("http://flowray.test", transport=httpx.MockTransport(answer)) as client:
        assert [frame["data"]["chunk"] for frame in client.stream("x")] == [ENDS_OF_LINES]


async def test_a_file_goes_along(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("content")
    made = service()
    async with client_of(made) as client:
        flow = await client.publish(ECHO)
        stored = await client.upload(flow.id, path)
    assert await made.flows.read_file("default", stored) == b"content"


@pytest.mark.parametrize("lines", [5, 9, 1000])
async def test_a_broken_connection_is_resumed_without_losing_or_repeating(lines: int) -> None:
    made = service()
    async with client_of(made) as client:
        run = (await client.run((await client.publish(ECHO)).id)).run
    transport = Breaking(httpx.ASGITransport(app=made.app), lines=lines, refuse=2)
    async with AsyncClient("http://flowray.test", KEY, transport=transport, pause=no_pause) as client:
        assert [recorded.seq async for recorded in client.events(run)] == list(range(1, 11))
    assert transport.connections > 2


async def test_a_run_that_is_over_has_nothing_left_to_tell_after_its_last_event() -> None:
    made = service()
    async with client_of(made) as client:
        run = (await client.run((await client.publish(ECHO)).id)).run
    transport = httpx.ASGITransport(app=made.app)
    async with AsyncClient("http://flowray.test", KEY, transport=transport, pause=no_pause) as at:
        assert [one async for one in at.events(run, after=10)] == []


def test_a_client_that_waits_does_not_wait_for_what_follows_on_a_last_event_either() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, content=b"") if "events" in request.url.path else httpx.Response(200, json=OVER)

    with Client("http://flowray.test", transport=httpx.MockTransport(answer)) as client:
        assert list(client.events("r1", after=10)) == []
    assert len(asked) == 2


class Restarting(httpx.AsyncBaseTransport):
    """Stands for a proxy that answers by itself while nobody is behind it."""

    def __init__(self, inner: httpx.AsyncBaseTransport, *answers: httpx.Response) -> None:
        self._inner = inner
        self._answers = list(answers)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._answers:
            return self._answers.pop(0)
        return await self._inner.handle_async_request(request)


async def test_a_run_is_followed_while_the_service_starts_again() -> None:
    made = service()
    async with client_of(made) as client:
        run = (await client.run((await client.publish(ECHO)).id)).run
    starting = {"code": "no_gateway", "status": 503, "detail": "It starts."}
    away = [httpx.Response(502, text="Bad Gateway"), httpx.Response(503, json=starting), httpx.Response(504)]
    transport = Restarting(httpx.ASGITransport(app=made.app), *away)
    async with AsyncClient("http://flowray.test", KEY, transport=transport, pause=no_pause) as client:
        assert [recorded.seq async for recorded in client.events(run)] == list(range(1, 11))


async def test_a_run_that_is_not_there_is_not_waited_for() -> None:
    async with client_of(service()) as client:
        with pytest.raises(NotFoundError):
            await anext(aiter(client.events("some-run")))


async def test_a_service_that_stays_away_is_given_up() -> None:
    transport = Breaking(httpx.ASGITransport(app=service().app), lines=0, refuse=1000)
    async with AsyncClient("http://flowray.test", KEY, transport=transport, pause=no_pause) as client:
        with pytest.raises(ServiceUnreachableError, match="refused"):
            await anext(aiter(client.events("some-run")))


async def test_a_run_is_cancelled() -> None:
    made = service()
    made.steps.script = held = Held()
    async with client_of(made) as client:
        flow = await client.publish(ECHO)
        running = asyncio.create_task(client.run(flow.id))
        await held.began.wait()
        told = await client.cancel(made.steps.requests[0].run)
        await asyncio.wait([running])
    assert told["status"] == "cancelled"
    assert running.exception() is not None


def test_a_service_that_is_not_there_says_how_to_start_one() -> None:
    def refuse(_: httpx.Request) -> Any:
        raise httpx.ConnectError("refused")

    with Client("http://flowray.test", transport=httpx.MockTransport(refuse)) as client:
        with pytest.raises(ServiceUnreachableError, match="flowray up"):
            client.health()
        with pytest.raises(ServiceUnreachableError):
            list(client.stream("x"))

"""The client and the service over a real connection."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from flowray.client import Client
from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.ports import RunRequest
from flowray.errors import RequestTooLargeError
from flowray_serve.services import BodyLimits
from tests.unit.serve.flows import message_result
from tests.unit.serve.service import ECHO, KEY, Service, canvas, drawn, echo, service


@pytest.fixture(scope="module")
def made() -> Service:
    return service(limits=BodyLimits(run_bytes=100_000, flow_bytes=100_000, file_bytes=100_000))


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url, KEY) as client:
        yield client


class Pausing:
    """Says one token, then waits until the test lets it go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    async def __call__(self, request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
        (*_, node) = request.plan.by_id[step.step].nodes
        yield ev.Token(node=node, text="first", message="m")
        await asyncio.to_thread(self.go_on.wait, 20)
        yield ev.NodeFinished(node=node, outputs={}, result=message_result(node, "first and last"))


def test_a_flow_is_published_and_run(client: Client) -> None:
    flow = client.publish(ECHO)
    answer = client.run(flow.id, input_value="hello")
    assert answer.text == "hello"
    assert [recorded.seq for recorded in client.events(answer.run)] == list(range(1, 11))
    assert [recorded.seq for recorded in client.events(answer.run, after=8)] == [9, 10]


def test_tokens_arrive_while_the_run_goes_on(made: Service, client: Client) -> None:
    flow = client.publish(ECHO)
    made.steps.script = pausing = Pausing()
    try:
        frames = client.stream(flow.id, input_value="x")
        assert next(frames)["data"]["chunk"] == "first"
        pausing.go_on.set()
        assert next(frames)["event"] == "end"
    finally:
        made.steps.script = echo


def test_leaving_a_stream_leaves_its_run_alone(made: Service, client: Client) -> None:
    flow = client.publish(ECHO)
    made.steps.script = pausing = Pausing()
    try:
        frames = client.stream(flow.id, input_value="x")
        next(frames)
        frames.close()
        pausing.go_on.set()
        (*_, last) = client.events(made.steps.requests[-1].run)
        assert isinstance(last.event, ev.RunFinished)
        assert last.event.status == "succeeded"
    finally:
        pausing.go_on.set()
        made.steps.script = echo


def test_a_body_beyond_the_limit_is_refused_over_a_real_connection(client: Client, url: str) -> None:
    with pytest.raises(RequestTooLargeError):
        client.publish(canvas(*[drawn(f"A-{number}") for number in range(1000)]))
    flow = client.publish(ECHO)
    large = {"file": ("a.bin", b"x" * 200_000)}
    response = httpx.post(f"{url}/api/v1/files/upload/{flow.id}", files=large, headers={"x-api-key": KEY})
    assert (response.status_code, response.json()["code"]) == (413, "request_too_large")
    assert client.run(flow.id, input_value="still there").text == "still there"

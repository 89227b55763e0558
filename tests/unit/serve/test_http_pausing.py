"""Runs that are stopped, or left by their caller, in the moment in which they pause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from flowray.engine import events as ev
from flowray_serve.run_service import RunOrder
from tests.unit.serve.service import ECHO, Service, service
from tests.unit.serve.test_http_background import submitted, told
from tests.unit.serve.test_http_pauses import asking, parked, paused, pending


class Slow:
    """A call to a store that does not come back until it is let go on."""

    def __init__(self, call: Callable[..., Any], *, where: Callable[..., bool] = lambda *_: True) -> None:
        self.began, self.go_on = asyncio.Event(), asyncio.Event()
        self._call, self._where = call, where

    async def __call__(self, *args: Any, **more: Any) -> Any:
        if self._where(*args):
            self.began.set()
            await self.go_on.wait()
        return await self._call(*args, **more)


async def called(made: Service, query: str) -> tuple[asyncio.Task[httpx.Response], Slow]:
    """A run that has just paused, and is about to be put on record as waiting."""
    made.steps.script = asking
    requests = made.services.jobs.requests
    requests.keep = slow = Slow(requests.keep)  # type: ignore[method-assign]
    calling = asyncio.create_task(made.http.post(f"/api/v1/run/{await made.publish(ECHO)}{query}", json={}))
    await slow.began.wait()
    return calling, slow


def is_pause(_: str, events: Sequence[ev.Recorded]) -> bool:
    return isinstance(events[-1].event, ev.RunPaused)


@pytest.mark.parametrize("at", ["its pause is written", "its journal is kept", "it is parked"])
async def test_a_stop_that_meets_a_run_as_it_begins_to_wait_ends_it(at: str) -> None:
    made = service()
    made.steps.script = asking
    requests = made.services.jobs.requests
    match at:
        case "its pause is written":
            made.journal.append = slow = Slow(made.journal.append, where=is_pause)  # type: ignore[method-assign]
        case "its journal is kept":
            requests.keep_journal = slow = Slow(requests.keep_journal)  # type: ignore[method-assign]
        case _:
            made.queue.park = slow = Slow(made.queue.park)  # type: ignore[method-assign]
    async with made.engine(), asyncio.timeout(5):
        job = await submitted(made, await made.publish(ECHO))
        await slow.began.wait()
        stopping = asyncio.create_task(made.http.post(job["links"]["stop"], json={"job_id": job["job_id"]}))
        while not made.queue._runs["default", job["job_id"]].cancel:
            await made.queue.bell(within_s=0.01)
        slow.go_on.set()
        assert (await stopping).status_code == 200
    assert (await told(made, job)).json()["status"] == "cancelled"


async def test_a_stop_that_is_asked_for_just_after_a_run_was_parked_ends_it() -> None:
    made = service()
    made.steps.script = asking
    async with made.engine():
        job = await paused(made)
        await parked(made)
    claim = made.queue.claim

    async def too_early(*_: Any, **__: Any) -> None:
        made.queue.claim = claim  # type: ignore[method-assign]

    made.queue.claim = too_early  # type: ignore[method-assign]
    stopped = await made.http.post(job["links"]["stop"], json={"job_id": job["job_id"]})
    assert stopped.status_code == 200
    assert (await told(made, job)).json()["status"] == "cancelled"


@pytest.mark.parametrize("query", ["", "?stream=true&cancel_on_disconnect=true"])
async def test_a_run_that_pauses_just_as_its_caller_leaves_waits_for_its_answer(query: str) -> None:
    made = service()
    calling, slow = await called(made, query)

    calling.cancel()
    slow.go_on.set()
    await asyncio.wait({calling})

    async with asyncio.timeout(5):
        await parked(made)
    assert [asked["prompt"] for asked in await pending(made)] == ["Send it?"]


async def test_a_run_whose_caller_leaves_before_its_pause_is_written_is_over() -> None:
    made = service()
    made.steps.script = asking
    made.journal.append = slow = Slow(made.journal.append, where=is_pause)  # type: ignore[method-assign]
    calling = asyncio.create_task(made.http.post(f"/api/v1/run/{await made.publish(ECHO)}", json={}))
    await slow.began.wait()

    calling.cancel()
    slow.go_on.set()
    await asyncio.wait({calling})

    assert (await made.http.get(f"/api/v1/runs/{made.steps.requests[0].run}")).json()["status"] == "cancelled"


async def test_a_stream_that_is_stopped_just_as_it_pauses_is_stopped() -> None:
    made = service()
    calling, slow = await called(made, "?stream=true")

    stopping = asyncio.create_task(made.http.post(f"/api/v1/runs/{made.steps.requests[0].run}/cancel"))
    driving = made.services.runs._live["default", made.steps.requests[0].run]
    while not driving.cancelling():  # noqa: ASYNC110 - a task tells nobody of this
        await asyncio.sleep(0)
    slow.go_on.set()

    assert (await asyncio.wait_for(stopping, 5)).json()["status"] == "cancelled"
    await calling


@pytest.fixture(params=[4, 64])
def lag(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader is waited for from its second event on; an engine that far ahead has or has not told of its pause."""
    monkeypatch.setattr("flowray_serve.listening._AHEAD", 1)
    monkeypatch.setattr("flowray.engine.loop._LAG", request.param)


async def stalled(made: Service, *, goes_on: bool = True) -> tuple[AsyncGenerator[ev.Recorded, None], ev.RunId]:
    """A run that has paused, and whose reader stands still at its first event."""
    made.steps.script = asking
    runs = made.services.runs
    prepared = await runs.prepare("default", await made.publish(ECHO), RunOrder(stream=True))
    reading = runs.stream(prepared, goes_on=goes_on)
    await anext(reading)
    async with asyncio.timeout(5), aclosing(made.journal.read("default", prepared.run, follow=True)) as told:
        await anext(one async for one in told if is_pause("", [one]))
    for _ in range(10):
        await asyncio.sleep(0)  # the engine tells of it as far as it can
    return reading, prepared.run


@pytest.mark.usefixtures("lag")
async def test_a_run_that_is_stopped_while_its_pause_waits_for_a_reader_that_stands_still_is_stopped() -> None:
    made = service()
    _, run = await stalled(made)

    stopped = await asyncio.wait_for(made.http.post(f"/api/v1/runs/{run}/cancel"), 5)

    assert (stopped.status_code, stopped.json()["status"]) == (200, "cancelled")


@pytest.mark.usefixtures("lag")
async def test_a_pause_that_waits_for_a_reader_counts_although_the_reader_leaves() -> None:
    made = service()
    reading, _ = await stalled(made, goes_on=False)

    await reading.aclose()

    async with asyncio.timeout(5):
        await parked(made)
    assert [asked["prompt"] for asked in await pending(made)] == ["Send it?"]

"""Calls at the same moment with one idempotency key, where the queue has room for one run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from flowray.engine.accepted import Accepted
from flowray.engine.events import Recorded, RunFinished, RunId
from flowray.engine.leasing import QueueFullError
from flowray.errors import NotFoundError, StoreUnavailableError
from flowray.stores.memory_journal import MemoryJournal
from flowray.stores.memory_queue import MemoryQueue
from flowray.stores.objects import open_objects
from flowray.stores.requests import Requests
from flowray.stores.sealing import SecretSeal
from flowray_serve.queueing.acceptance import Acceptance, Idempotency
from tests.unit.serve.test_lanes import a_request

FIRST, SECOND, THIRD, OTHER = RunId("first"), RunId("second"), RunId("third"), RunId("other")


class Gate:
    """Holds up the next call of a method until it is let go."""

    def __init__(self, owner: object, name: str) -> None:
        self._reached, self.go = asyncio.Event(), asyncio.Event()
        method: Callable[..., Awaitable[Any]] = getattr(owner, name)

        async def held(*args: Any, **more: Any) -> Any:
            setattr(owner, name, method)
            self._reached.set()
            await self.go.wait()
            return await method(*args, **more)

        setattr(owner, name, held)

    async def reached(self) -> None:
        async with asyncio.timeout(5):
            await self._reached.wait()


class Hall:
    """Accepts runs; one may wait. `now` is what its clock says."""

    def __init__(self) -> None:
        objects, self.journal, self.now = open_objects("memory:"), MemoryJournal(), 1_000.0
        self.queue = MemoryQueue(self.journal)
        self.requests = Requests(objects, SecretSeal(b"secret"))
        self._acceptance = Acceptance(
            self.requests, self.queue, self.journal, objects, admit=self._one, clock=lambda: self.now
        )

    async def _one(self, _: str) -> int:
        return 1

    async def accept(self, run: RunId, *, key: str | None = "k") -> Accepted:
        asked = replace(a_request(), run=run)
        return await self._acceptance.accept(asked, {}, idempotency=Idempotency.of(key, "the same"))

    async def accepting(self, run: RunId, *, until: Gate) -> asyncio.Task[Accepted]:
        """A call that has come to this gate and is held up there."""
        call = asyncio.create_task(self.accept(run))
        await until.reached()
        return call

    async def has_room(self) -> None:
        (lease,) = await self.queue.take("engine", limit=1, for_s=60)
        await self.queue.done(lease)

    async def on_record(self) -> list[RunId]:
        return [run async for _, run, _ in self.requests.open()]


@pytest.fixture
async def hall() -> Hall:
    """A hall whose one place is taken, by a run that is on record no more."""
    full = Hall()
    await full.accept(OTHER, key=None)
    await full.requests.close("t", OTHER)
    return full


async def test_a_call_is_not_told_of_a_run_that_another_one_takes_back(hall: Hall) -> None:
    offer = Gate(hall.queue, "offer")
    first = await hall.accepting(FIRST, until=offer)
    with pytest.raises(QueueFullError):
        await hall.accept(SECOND)
    offer.go.set()
    with pytest.raises(QueueFullError):
        await first
    assert await hall.on_record() == []


async def test_a_call_queues_a_run_that_another_one_is_about_to_queue(hall: Hall) -> None:
    offer = Gate(hall.queue, "offer")
    first = await hall.accepting(FIRST, until=offer)
    await hall.has_room()
    second = await hall.accept(SECOND)
    offer.go.set()
    assert second.request.run == (await first).request.run == FIRST
    assert await hall.on_record() == [FIRST]
    assert (await hall.queue.stats()).waiting == 1


async def test_a_run_that_is_queued_while_a_refused_call_takes_it_back_stays_on_record(hall: Hall) -> None:
    drop = Gate(hall.requests, "drop")
    first = await hall.accepting(FIRST, until=drop)
    await hall.has_room()
    second = await hall.accept(SECOND)
    drop.go.set()
    with pytest.raises(QueueFullError):
        await first
    assert second.request.run == FIRST
    assert await hall.queue.knows("t", FIRST)
    assert await hall.on_record() == [FIRST]


async def test_a_run_that_is_taken_back_before_it_is_queued_is_put_on_record_again(hall: Hall) -> None:
    drop = Gate(hall.requests, "drop")
    first = await hall.accepting(FIRST, until=drop)
    offer = Gate(hall.queue, "offer")
    second = await hall.accepting(SECOND, until=offer)
    drop.go.set()
    with pytest.raises(QueueFullError):
        await first
    await hall.has_room()
    offer.go.set()
    assert (await second).request.run == FIRST
    assert await hall.on_record() == [FIRST]


async def test_a_refused_call_that_is_late_opens_no_run_that_is_over_by_then(hall: Hall) -> None:
    drop = Gate(hall.requests, "drop")
    first = await hall.accepting(FIRST, until=drop)
    await hall.has_room()
    second = await hall.accept(SECOND)
    keep = Gate(hall.requests, "keep")
    drop.go.set()
    await keep.reached()
    await hall.requests.keep(second)
    await hall.requests.close("t", FIRST)
    keep.go.set()
    with pytest.raises(QueueFullError):
        await first
    assert await hall.on_record() == []


async def test_a_run_that_the_queue_has_forgotten_is_left_to_who_finds_it_again(hall: Hall) -> None:
    await hall.has_room()
    await hall.accept(FIRST)
    hall.queue.empty()
    hall.now += 3_600
    assert (await hall.accept(SECOND)).request.run == FIRST
    assert (await hall.queue.stats()).waiting == 0


async def test_a_run_that_is_over_is_not_queued_again_when_the_queue_has_forgotten_it(hall: Hall) -> None:
    await hall.has_room()
    await hall.accept(FIRST)
    await hall.requests.close("t", FIRST)
    hall.queue.empty()
    assert (await hall.accept(SECOND)).request.run == FIRST
    assert await hall.on_record() == []
    assert (await hall.queue.stats()).waiting == 0


async def test_nothing_is_seen_of_a_run_that_was_refused_and_its_key_may_be_used_again(hall: Hall) -> None:
    for key in (None, "k"):
        with pytest.raises(QueueFullError):
            await hall.accept(FIRST, key=key)
        with pytest.raises(NotFoundError):
            _ = [one async for one in hall.journal.read("t", FIRST)]
    await hall.has_room()
    assert (await hall.accept(SECOND)).request.run == FIRST
    assert (await hall.queue.stats()).waiting == 1


async def test_a_key_does_not_stand_for_a_run_that_was_lost_before_it_was_queued(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> bool:
        raise StoreUnavailableError("no answer")

    await hall.has_room()
    with monkeypatch.context() as patched:
        patched.setattr(hall.queue, "offer", away)
        with pytest.raises(StoreUnavailableError):
            await hall.accept(FIRST)
    lost = RunFinished(status="failed", kind="lost", error="The run was begun by nobody.")
    await hall.journal.append("t", [Recorded(seq=2, at=1_030.0, run=FIRST, event=lost)])

    assert (await hall.accept(SECOND)).request.run == SECOND
    assert (await hall.accept(THIRD)).request.run == SECOND
    assert (await hall.queue.stats()).waiting == 1

"""Engines at work on one queue: what happens when one leaves, dies, or is overtaken."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from flowray.engine.events import RunFinished
from flowray.engine.leasing import Renewed
from flowray.errors import StoreUnavailableError
from flowray.stores.archive import Archive
from flowray_serve.queueing.driver import Driver, Pace
from flowray_serve.queueing.held import Held as HeldRun
from flowray_serve.queueing.recall import read_all
from tests.unit.serve.service import ECHO, Held, Service, echo, service
from tests.unit.serve.test_http_background import submitted

CHAIN_S = 5
AT_ITS_STEP = 4  # accepted, started, and its step queued and started


async def end_of(made: Service, job: dict[str, Any]) -> RunFinished:
    async with asyncio.timeout(CHAIN_S):
        told = [one async for one in made.journal.read("default", job["job_id"], follow=True)]
    assert [one.seq for one in told] == list(range(1, len(told) + 1))
    assert isinstance(told[-1].event, RunFinished)
    return told[-1].event


class NothingToTake:
    """A queue that never has a run for anybody."""

    async def take(self, *_: Any, **__: Any) -> list[Any]:
        await asyncio.Event().wait()
        return []


def renewing(queue: Any) -> Driver:
    """A driver that has nothing to do but to renew its leases in this queue, of which it has none."""

    async def drive(held: HeldRun) -> None:
        raise AssertionError(f"{held.lease.run} was taken from nowhere")

    return Driver(queue, service().queue, drive, name="e", pace=Pace(lease_s=0.03, drain_s=0))


async def test_an_engine_takes_no_more_runs_than_it_has_room_for() -> None:
    made, held = service(), Held()
    made.steps.script = held
    flow_id = await made.publish(ECHO)
    jobs = [await submitted(made, flow_id) for _ in range(3)]
    async with made.engine(runs=2) as driver:
        await held.began.wait()
        assert driver.running == 2
        assert (await made.queue.stats()).waiting == 1
        held.go_on.set()
        for job in jobs:
            assert (await end_of(made, job)).status == "succeeded"


async def test_an_engine_that_leaves_hands_over_what_has_not_started() -> None:
    made, held = service(), Held()
    made.steps.script = held
    job = await submitted(made, await made.publish(ECHO))
    async with made.engine("leaving", drain_s=CHAIN_S) as driver:
        await held.began.wait()
        leaving = asyncio.create_task(driver.close())
        await asyncio.sleep(0)
        held.go_on.set()
        await leaving
    assert (await end_of(made, job)).status == "succeeded"


async def test_an_engine_that_may_not_wait_gives_its_lease_back() -> None:
    made, held = service(), Held()
    made.steps.script = held
    job = await submitted(made, await made.publish(ECHO))
    async with made.engine("leaving", drain_s=0.01):
        await held.began.wait()
    assert held.ended.is_set()
    stats = await made.queue.stats()
    assert (stats.waiting, stats.leased) == (1, 0)
    told = [one async for one in made.journal.read("default", job["job_id"])]
    assert not isinstance(told[-1].event, RunFinished)


async def test_a_run_that_ends_its_engines_is_given_up() -> None:
    made = service()
    job = await submitted(made, await made.publish(ECHO))
    for _ in range(6):
        await made.queue.take("dies", limit=1, for_s=0.0)
    async with made.engine():
        end = await end_of(made, job)
    assert (end.status, end.kind) == ("failed", "lost")
    assert "6 engines" in end.error


async def test_a_run_whose_request_cannot_be_read_ends_and_says_so() -> None:
    made = service()
    job = await submitted(made, await made.publish(ECHO))
    (drawing,) = [one.key async for one in made.objects.list("tenants/default/drawings")]
    await made.objects.delete(drawing)
    async with made.engine():
        end = await end_of(made, job)
    assert end.status == "failed"
    assert "cannot be read from the record" in end.error
    assert (await made.queue.stats()).leased == 0


async def test_a_run_whose_end_the_store_has_forgotten_is_not_run_again() -> None:
    made, held = service(), Held()
    made.steps.script = held
    job = await submitted(made, await made.publish(ECHO))
    begun = [one async for one in made.journal.read("default", job["job_id"])]
    over = replace(begun[-1], seq=begun[-1].seq + 1, event=RunFinished(status="cancelled"))
    await Archive(made.objects).keep_all("default", begun[0].run, [*begun, over])
    async with made.engine():
        end = await end_of(made, job)
    assert end.status == "cancelled"
    assert not held.began.is_set()


async def test_an_engine_that_has_lost_its_lease_writes_nothing_more() -> None:
    made, held = service(), Held()
    made.steps.script = held
    job = await submitted(made, await made.publish(ECHO))
    async with made.engine("stale", lease_s=0.03) as driver:
        await held.began.wait()
        (lease,) = [one.lease for one in driver._held.values()]
        entry = made.queue._runs["default", lease.run]
        entry.until = 0.0
        (taken,) = await made.queue.take("other", limit=1, for_s=100.0)
        await held.ended.wait()
        before = [one async for one in made.journal.read("default", job["job_id"])]
    assert taken.number > lease.number
    assert [one async for one in made.journal.read("default", job["job_id"])] == before
    assert (await made.queue.stats()).leased == 1


async def test_an_emptied_store_costs_a_run_nothing_while_its_engine_lives() -> None:
    made, held = service(), Held()
    made.steps.script = held
    job = await submitted(made, await made.publish(ECHO))
    async with made.engine(lease_s=0.03):
        await held.began.wait()
        made.queue.empty()
        held.go_on.set()
        await asyncio.sleep(0)
        async with asyncio.timeout(CHAIN_S):
            while not made.journal.is_over("default", job["job_id"]):
                await made.queue.bell(within_s=0.01)
    assert (await end_of(made, job)).status == "succeeded"


async def test_an_emptied_store_has_a_run_s_journal_again_before_anything_more_happens() -> None:
    made, held = service(), Held()
    made.steps.script = held
    job = await submitted(made, await made.publish(ECHO))
    async with made.engine(lease_s=0.03):
        await held.began.wait()
        async with asyncio.timeout(CHAIN_S):
            # What the step began with is written a moment later.
            while len(before := await read_all(made.journal, "default", job["job_id"])) < AT_ITS_STEP:
                await made.queue.bell(within_s=0.01)
        made.queue.empty()
        async with asyncio.timeout(CHAIN_S):
            while not (again := await read_all(made.journal, "default", job["job_id"])):
                await made.queue.bell(within_s=0.01)
        assert again == before
        held.go_on.set()
        assert (await end_of(made, job)).status == "succeeded"


async def test_a_renewal_that_takes_too_long_is_tried_again() -> None:
    tried = asyncio.Semaphore(0)

    class Queue(NothingToTake):
        async def renew(self, *_: Any, **__: Any) -> list[Renewed]:
            tried.release()
            await asyncio.Event().wait()
            return []

    driver = renewing(Queue())
    driver.start()
    async with asyncio.timeout(CHAIN_S):
        for _ in range(3):
            await tried.acquire()
    driver.check()
    await driver.close()


async def test_who_overslept_a_lease_does_not_reclaim_what_a_store_forgot() -> None:
    asked: list[bool] = []

    class Queue(NothingToTake):
        async def renew(self, leases: Any, *, for_s: float, reclaim: bool) -> list[Renewed]:
            asked.append(reclaim)
            return []

    made, driver = service(), renewing(Queue())
    driver.start()
    async with asyncio.timeout(CHAIN_S):
        while not asked:
            await made.queue.bell(within_s=0.01)
        driver._renewal_tried = -100.0
        asked.clear()
        while not asked:
            await made.queue.bell(within_s=0.01)
    await driver.close()
    assert asked[0] is False


async def test_a_store_that_is_away_counts_for_no_lost_engine() -> None:
    made, takes, over = service(), list[int](), asyncio.Event()
    await submitted(made, await made.publish(ECHO))

    async def drive(held: HeldRun) -> None:
        takes.append(held.lease.takes)
        if len(takes) < 3:
            raise StoreUnavailableError("The object store did not answer.")
        over.set()

    driver = Driver(made.queue, made.queue, drive, name="e", pace=Pace(drain_s=0, again_s=0, bell_s=0.01))
    driver.start()
    async with asyncio.timeout(CHAIN_S):
        await over.wait()
    await driver.close()
    assert takes == [1, 1, 1]


async def test_an_engine_that_works_is_healthy() -> None:
    made = service()
    made.steps.script = echo
    async with made.engine() as driver:
        driver.check()

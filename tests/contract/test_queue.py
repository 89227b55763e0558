"""The queue's promises, kept by Redis and by its twin in memory, with the journals whose fence it sets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import pytest
import redis.asyncio

from flowray.engine.events import Log, Recorded, RunAccepted, RunFinished, RunId
from flowray.engine.fencing import FencedError, JournalGapError, LeaseForgottenError
from flowray.engine.leasing import Cancels, Lease, Queue, QueueFullError, QueueStats, Turns, Waiting
from flowray.engine.ports import Journal
from flowray.errors import ConflictError, InvalidRequestError, NotFoundError
from flowray.flow.types import NodeId
from flowray.stores.archive import Archive
from flowray.stores.memory_journal import MemoryJournal
from flowray.stores.memory_queue import MemoryQueue
from flowray.stores.objects import open_objects
from flowray.stores.redis_cancels import RedisCancels
from flowray.stores.redis_journal import RedisJournal
from flowray.stores.redis_queue import RedisQueue

ACME, OTHER = "acme", "other"
LONG_S = 100.0
OVER_S = 0.0
ACCEPTED = RunAccepted(tenant=ACME, flow="flow-1", flow_name="Flow", version="v1", session="s")


@dataclass
class Made:
    queue: Queue
    journal: Journal
    cancels: Cancels
    empty: Callable[[], Awaitable[object]]


@pytest.fixture(params=["memory", "redis"])
def make(request: pytest.FixtureRequest) -> Callable[[Turns | None], Made]:
    valkey = request.getfixturevalue("valkey") if request.param == "redis" else None

    def made(turns: Turns | None = None) -> Made:
        if valkey is None:
            journal = MemoryJournal()
            queue = MemoryQueue(journal, turns=turns)

            async def empty() -> None:
                queue.empty()

            return Made(queue, journal, queue, empty)
        kept = RedisJournal(valkey, Archive(open_objects("memory:")))
        return Made(RedisQueue(valkey, turns=turns), kept, RedisCancels(valkey), valkey.flushdb)

    return made


@pytest.fixture
def made(make: Callable[[Turns | None], Made]) -> Made:
    return make(None)


@pytest.fixture
def queue(made: Made) -> Queue:
    return made.queue


def run(number: int) -> RunId:
    return RunId(f"run-{number}")


def line(seq: int, of: RunId) -> Recorded:
    return Recorded(seq=seq, at=1.5, run=of, event=Log(node=NodeId("a"), text=f"line {seq}"))


def runs(leases: Sequence[Lease]) -> list[str]:
    return [lease.run for lease in leases]


async def test_the_oldest_run_is_taken_first(queue: Queue) -> None:
    for number, at in ((1, 20.0), (2, 10.0), (3, 30.0)):
        assert await queue.offer(ACME, run(number), at=at)
    assert runs(await queue.take("e", limit=2, for_s=LONG_S)) == ["run-2", "run-1"]
    assert runs(await queue.take("e", limit=2, for_s=LONG_S)) == ["run-3"]
    assert await queue.take("e", limit=2, for_s=LONG_S) == []


async def test_tenants_take_turns(queue: Queue) -> None:
    for number in range(3):
        await queue.offer(ACME, run(number), at=float(number))
    await queue.offer(OTHER, run(9), at=50.0)
    taken = await queue.take("e", limit=9, for_s=LONG_S)
    assert [(lease.tenant, lease.run) for lease in taken] == [
        (ACME, "run-0"),
        (OTHER, "run-9"),
        (ACME, "run-1"),
        (ACME, "run-2"),
    ]


async def test_what_waits_is_counted_by_tenant(queue: Queue) -> None:
    for number in range(3):
        await queue.offer(ACME, run(number), at=float(number))
    await queue.offer(OTHER, run(9), at=50.0)
    await queue.take("e", limit=1, for_s=LONG_S)
    assert [await queue.length(tenant) for tenant in (ACME, OTHER, "nobody")] == [2, 1, 0]


async def test_whose_turn_it_is_can_be_chosen(make: Callable[[Turns | None], Made]) -> None:
    class OthersFirst:
        async def next(self, waiting: Sequence[Waiting], limit: int) -> Sequence[str]:
            assert {(one.tenant, one.length, one.oldest_at) for one in waiting} == {(ACME, 1, 1.0), (OTHER, 2, 2.0)}
            return [OTHER, OTHER][:limit]

    queue = make(OthersFirst()).queue
    await queue.offer(ACME, run(1), at=1.0)
    await queue.offer(OTHER, run(2), at=2.0)
    await queue.offer(OTHER, run(3), at=3.0)
    assert runs(await queue.take("e", limit=3, for_s=LONG_S)) == ["run-2", "run-3"]


async def test_nothing_is_left_of_a_run_that_is_refused_for_a_full_queue(made: Made) -> None:
    await made.queue.offer(ACME, run(1), at=1.0)
    await made.journal.append(ACME, [Recorded(seq=1, at=2.0, run=run(2), event=ACCEPTED)])
    with pytest.raises(QueueFullError):
        await made.queue.offer(ACME, run(2), at=2.0, most=1)
    with pytest.raises(NotFoundError):
        _ = [one async for one in made.journal.read(ACME, run(2))]
    assert not await made.queue.knows(ACME, run(2))


async def test_a_run_that_was_parked_keeps_its_journal_when_the_queue_is_too_full_to_wake_it(made: Made) -> None:
    await made.queue.offer(ACME, run(1), at=1.0)
    await made.journal.append(ACME, [Recorded(seq=1, at=1.0, run=run(1), event=ACCEPTED)])
    (lease,) = await made.queue.take("e", limit=1, for_s=LONG_S)
    await made.queue.park(lease)
    await made.queue.offer(ACME, run(2), at=2.0)
    with pytest.raises(QueueFullError):
        await made.queue.offer(ACME, run(1), at=3.0, most=1)
    assert len([one async for one in made.journal.read(ACME, run(1))]) == 1
    assert await made.queue.parked(ACME) == [run(1)]


async def test_a_run_waits_only_once(queue: Queue) -> None:
    assert await queue.offer(ACME, run(1), at=1.0)
    assert not await queue.offer(ACME, run(1), at=2.0)
    (lease,) = await queue.take("e", limit=9, for_s=LONG_S)
    assert not await queue.offer(ACME, run(1), at=3.0)
    await queue.done(lease)
    assert await queue.take("e", limit=9, for_s=OVER_S) == []


async def test_a_run_that_is_over_waits_no_more(made: Made) -> None:
    end = Recorded(seq=2, at=2.0, run=run(1), event=RunFinished(status="succeeded"))
    await made.journal.append(ACME, [Recorded(seq=1, at=1.0, run=run(1), event=ACCEPTED), end])
    assert not await made.queue.offer(ACME, run(1), at=1.0)


async def test_a_lease_that_runs_out_is_taken_by_another_engine(queue: Queue) -> None:
    await queue.offer(ACME, run(1), at=1.0)
    (first,) = await queue.take("e1", limit=1, for_s=OVER_S)
    (second,) = await queue.take("e2", limit=1, for_s=LONG_S)
    assert (second.run, second.takes) == (first.run, 2)
    assert second.number > first.number
    assert await queue.take("e3", limit=1, for_s=LONG_S) == []


async def test_an_engine_knows_which_of_its_leases_it_still_has(queue: Queue) -> None:
    for number in (1, 2, 3):
        await queue.offer(ACME, run(number), at=float(number))
    mine = await queue.take("e1", limit=3, for_s=OVER_S)
    (lost,) = await queue.take("e2", limit=1, for_s=LONG_S)
    await queue.done(mine[1])
    renewed = await queue.renew(mine, for_s=LONG_S)
    assert [one.kept for one in renewed] == ["lost", "lost", "kept"]
    assert lost.run == mine[0].run


async def test_a_lease_that_nobody_took_is_renewed_after_its_time(queue: Queue) -> None:
    await queue.offer(ACME, run(1), at=1.0)
    (lease,) = await queue.take("e1", limit=1, for_s=OVER_S)
    assert [one.kept for one in await queue.renew([lease], for_s=LONG_S)] == ["kept"]
    assert await queue.take("e2", limit=1, for_s=LONG_S) == []


async def test_a_run_that_is_given_back_keeps_its_place(queue: Queue) -> None:
    await queue.offer(ACME, run(1), at=1.0)
    await queue.offer(ACME, run(2), at=2.0)
    (lease,) = await queue.take("e1", limit=1, for_s=LONG_S)
    await queue.give_back(lease)
    (again,) = await queue.take("e2", limit=1, for_s=LONG_S)
    assert (again.run, again.takes) == ("run-1", 1)
    assert again.number > lease.number


async def test_a_parked_run_is_taken_when_its_time_comes(queue: Queue) -> None:
    await queue.offer(ACME, run(1), at=1.0)
    await queue.offer(ACME, run(2), at=2.0)
    for_ever, until = await queue.take("e", limit=2, for_s=LONG_S)
    await queue.park(for_ever)
    await queue.park(until, until=1.0)
    assert runs(await queue.take("e", limit=9, for_s=LONG_S)) == ["run-2"]


async def test_a_run_that_was_asked_to_stop_is_not_parked_but_waits_for_its_end(made: Made) -> None:
    await made.queue.offer(ACME, run(1), at=1.0)
    (lease,) = await made.queue.take("e", limit=1, for_s=LONG_S)
    await made.cancels.ask(ACME, run(1), reason="stop")
    await made.queue.park(lease)
    assert list(await made.queue.parked(ACME)) == []
    (again,) = await made.queue.take("e", limit=1, for_s=LONG_S)
    assert (again.run, again.cancel, again.takes) == (run(1), "stop", 1)


async def test_a_tenants_parked_runs_are_listed(queue: Queue) -> None:
    for tenant, number in ((ACME, 1), (OTHER, 2), (ACME, 3)):
        await queue.offer(tenant, run(number), at=1.0)
    for lease in await queue.take("e", limit=2, for_s=LONG_S):
        await queue.park(lease)
    assert (list(await queue.parked(ACME)), list(await queue.parked(OTHER))) == ([run(1)], [run(2)])


async def test_a_parked_run_is_woken_by_an_offer(queue: Queue) -> None:
    await queue.offer(ACME, run(1), at=1.0)
    (lease,) = await queue.take("e", limit=1, for_s=LONG_S)
    await queue.park(lease)
    assert await queue.offer(ACME, run(1), at=5.0)
    assert runs(await queue.take("e", limit=1, for_s=LONG_S)) == ["run-1"]


async def test_a_parked_run_sleeps_on_when_it_is_only_looked_after(queue: Queue) -> None:
    await queue.offer(ACME, run(1), at=1.0)
    (lease,) = await queue.take("e", limit=1, for_s=LONG_S)
    await queue.park(lease)
    assert not await queue.recover(ACME, run(1), at=5.0)
    assert await queue.take("e", limit=1, for_s=LONG_S) == []
    assert await queue.recover(ACME, run(2), at=5.0)
    assert runs(await queue.take("e", limit=1, for_s=LONG_S)) == ["run-2"]


async def test_a_queue_knows_what_it_has_and_what_is_over(queue: Queue) -> None:
    await queue.offer(ACME, run(1), at=1.0)
    assert await queue.knows(ACME, run(1))
    assert not await queue.knows(ACME, run(2))
    (lease,) = await queue.take("e", limit=1, for_s=LONG_S)
    assert await queue.knows(ACME, run(1))
    await queue.park(lease)
    assert await queue.knows(ACME, run(1))


async def test_one_run_can_be_claimed_unless_an_engine_has_it(queue: Queue) -> None:
    for number in (1, 2):
        await queue.offer(ACME, run(number), at=float(number))
    claimed = await queue.claim(ACME, run(2), holder="g", for_s=LONG_S)
    assert claimed is not None
    assert claimed.run == "run-2"
    assert runs(await queue.take("e", limit=9, for_s=LONG_S)) == ["run-1"]
    assert await queue.claim(ACME, run(1), holder="g", for_s=LONG_S) is None
    assert await queue.claim(ACME, run(7), holder="g", for_s=LONG_S) is None


async def test_the_queues_tell_how_full_they_are(queue: Queue) -> None:
    assert await queue.stats() == QueueStats()
    for number in (1, 2, 3):
        await queue.offer(ACME, run(number), at=1.0)
    first, second = await queue.take("e", limit=2, for_s=LONG_S)
    await queue.park(first)
    stats = await queue.stats()
    assert (stats.waiting, stats.leased, stats.parked, stats.oldest_s > 1_000) == (1, 1, 1, True)
    assert second.run == "run-2"


async def test_who_waits_for_work_is_woken(queue: Queue) -> None:
    assert not await queue.bell(within_s=0.05)
    waiting = asyncio.create_task(queue.bell(within_s=5.0))
    await asyncio.sleep(0)
    await queue.offer(ACME, run(1), at=1.0)
    assert await waiting


async def test_an_engine_without_its_lease_can_write_nothing(made: Made) -> None:
    await made.queue.offer(ACME, run(1), at=1.0)
    (old,) = await made.queue.take("e1", limit=1, for_s=OVER_S)
    await made.journal.append(ACME, [line(1, run(1))], lease=old.number)
    (new,) = await made.queue.take("e2", limit=1, for_s=LONG_S)
    for stale in (old.number, 0):
        with pytest.raises(FencedError):
            await made.journal.append(ACME, [line(2, run(1))], lease=stale)
    await made.journal.append(ACME, [line(2, run(1))], lease=new.number)
    await made.queue.give_back(new)
    with pytest.raises(FencedError):
        await made.journal.append(ACME, [line(3, run(1))], lease=new.number)
    assert [one.seq async for one in made.journal.read(ACME, run(1))] == [1, 2]


async def test_the_same_events_again_do_no_harm(made: Made) -> None:
    await made.journal.append(ACME, [line(1, run(1)), line(2, run(1))])
    await made.journal.append(ACME, [line(1, run(1)), line(2, run(1))])
    with pytest.raises(ConflictError):
        await made.journal.append(ACME, [line(2, run(1)), line(3, run(1))])
    assert [one.seq async for one in made.journal.read(ACME, run(1))] == [1, 2]


async def test_a_journal_that_has_lost_events_says_which_it_has(made: Made) -> None:
    await made.journal.append(ACME, [line(1, run(1)), line(2, run(1))])
    with pytest.raises(JournalGapError) as gap:
        await made.journal.append(ACME, [line(5, run(1))])
    assert gap.value.last == 2


async def test_an_emptied_store_lets_its_holder_claim_the_run_again(made: Made) -> None:
    await made.queue.offer(ACME, run(1), at=1.0)
    (lease,) = await made.queue.take("e1", limit=1, for_s=LONG_S)
    await made.empty()
    with pytest.raises(LeaseForgottenError):
        await made.journal.append(ACME, [line(1, run(1))], lease=lease.number)
    assert [one.kept for one in await made.queue.renew([lease], for_s=LONG_S)] == ["unknown"]
    for forgot in (True, False):
        (renewed,) = await made.queue.renew([lease], for_s=LONG_S, reclaim=True)
        assert (renewed.kept, renewed.forgot) == ("kept", forgot)
    await made.journal.append(ACME, [line(1, run(1))], lease=lease.number)
    assert not await made.queue.offer(ACME, run(1), at=1.0)


async def test_what_another_engine_took_meanwhile_cannot_be_reclaimed(made: Made) -> None:
    await made.queue.offer(ACME, run(1), at=1.0)
    (old,) = await made.queue.take("e1", limit=1, for_s=LONG_S)
    await made.empty()
    await made.queue.offer(ACME, run(1), at=1.0)
    (new,) = await made.queue.take("e2", limit=1, for_s=LONG_S)
    assert [one.kept for one in await made.queue.renew([old], for_s=LONG_S, reclaim=True)] == ["lost"]
    assert new.number > old.number


async def test_a_cancellation_reaches_who_listens_and_who_takes_the_run_later(made: Made) -> None:
    await made.queue.offer(ACME, run(1), at=1.0)
    async with aclosing(made.cancels.listen()) as heard:
        first = asyncio.create_task(anext(heard))
        async with asyncio.timeout(5):
            while not first.done():
                await made.cancels.ask(ACME, run(1), reason="enough")
                await asyncio.wait({first}, timeout=0.05)
    assert first.result() == (ACME, run(1), "enough")
    (lease,) = await made.queue.take("e", limit=1, for_s=LONG_S)
    assert lease.cancel == "enough"
    assert [one.cancel for one in await made.queue.renew([lease], for_s=LONG_S)] == ["enough"]


@pytest.mark.parametrize(("tenant", "name"), [("a:b", "run"), ("", "run"), (ACME, "x/y"), (ACME, "")])
async def test_names_that_could_reach_elsewhere_are_refused(valkey: object, tenant: str, name: str) -> None:
    queue = RedisQueue(valkey)  # type: ignore[arg-type]  # the fixture's own type
    with pytest.raises(InvalidRequestError):
        await queue.offer(tenant, RunId(name), at=1.0)


@pytest.mark.parametrize("ahead_s", [-1_000.0, 1_000.0])
async def test_a_parked_run_wakes_by_the_clock_of_whoever_has_parked_it(
    valkey: redis.asyncio.Redis, ahead_s: float
) -> None:
    queue = RedisQueue(valkey, clock=lambda: time.time() + ahead_s)
    for number, in_s in ((1, -1.0), (2, 100.0)):
        await queue.offer(ACME, run(number), at=number)
        [lease] = await queue.take("one", limit=1, for_s=LONG_S)
        await queue.park(lease, until=time.time() + ahead_s + in_s)

    assert runs(await queue.take("one", limit=2, for_s=LONG_S)) == ["run-1"]

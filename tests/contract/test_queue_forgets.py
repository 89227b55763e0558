"""What a Redis that was emptied, or started again, may not be taken at its word for."""

from __future__ import annotations

import asyncio

import pytest
import redis.asyncio

from flowray.engine.fencing import LeaseForgottenError
from flowray.engine.leasing import QueueStats, StoreForgotError
from flowray.stores.archive import Archive
from flowray.stores.objects import open_objects
from flowray.stores.redis_journal import RedisJournal
from flowray.stores.redis_queue import RedisQueue
from flowray.stores.upkeep import RedisUpkeep
from tests.contract.test_queue import ACME, LONG_S, OVER_S, line, run, runs


async def test_nothing_is_taken_for_lost_by_a_redis_that_was_emptied_since(valkey: redis.asyncio.Redis) -> None:
    queue, upkeep = RedisQueue(valkey, sure_after_s=0), RedisUpkeep(valkey)
    begun = await upkeep.begin("runs")
    assert not await queue.knows(ACME, run(1), begun=begun)
    assert await queue.recover(ACME, run(1), at=1.0, begun=begun)

    await valkey.flushdb()

    with pytest.raises(StoreForgotError):
        await queue.knows(ACME, run(1), begun=begun)
    with pytest.raises(StoreForgotError):
        await queue.recover(ACME, run(1), at=1.0, begun=begun)
    await upkeep.begin("runs")
    with pytest.raises(StoreForgotError):
        await queue.recover(ACME, run(1), at=1.0, begun=begun)
    assert await queue.recover(ACME, run(1), at=1.0, begun=await upkeep.begin("runs"))


async def test_nothing_is_taken_for_lost_by_a_redis_that_was_just_started(valkey: redis.asyncio.Redis) -> None:
    queue, upkeep = RedisQueue(valkey, sure_after_s=1e9), RedisUpkeep(valkey)
    begun = await upkeep.begin("runs")
    with pytest.raises(StoreForgotError):
        await queue.recover(ACME, run(1), at=1.0, begun=begun)
    token = begun.partition("/")[0]
    with pytest.raises(StoreForgotError):
        await RedisQueue(valkey, sure_after_s=0).recover(ACME, run(1), at=1.0, begun=f"{token}/another")


async def forget(valkey: redis.asyncio.Redis, before: dict[bytes, bytes]) -> None:
    """Make it what it was, as a server is that lost its last second and was started again."""
    await valkey.flushdb()
    for key, value in before.items():
        await valkey.restore(key, 0, value)
    await valkey.hset("flowray:queue:server", "process", "the one before")


async def all_of(valkey: redis.asyncio.Redis) -> dict[bytes, bytes]:
    return {key: await valkey.dump(key) or b"" async for key in valkey.scan_iter()}


@pytest.mark.parametrize("where", ["waiting", "parked", "leased"])
async def test_a_lease_that_redis_has_just_forgotten_stays_its_holders(valkey: redis.asyncio.Redis, where: str) -> None:
    queue, journal = RedisQueue(valkey), RedisJournal(valkey, Archive(open_objects("memory:")))
    await queue.offer(ACME, run(1), at=1.0)
    (former,) = await queue.take("e0", limit=1, for_s=OVER_S)
    await journal.append(ACME, [line(1, run(1))], lease=former.number)
    if where != "leased":
        await queue.park(former)
    if where == "waiting":
        await queue.offer(ACME, run(1), at=2.0)
    before = await all_of(valkey)
    await queue.offer(ACME, run(1), at=2.0)
    (lease,) = await queue.take("e1", limit=1, for_s=OVER_S)
    await journal.append(ACME, [line(2, run(1))], lease=lease.number)

    await forget(valkey, before)

    assert await queue.take("e2", limit=1, for_s=LONG_S) == []
    with pytest.raises(StoreForgotError):
        await queue.claim(ACME, run(1), holder="g", for_s=LONG_S)
    with pytest.raises(LeaseForgottenError):
        await journal.append(ACME, [line(3, run(1))], lease=lease.number)
    assert [one.kept for one in await queue.renew([lease], for_s=LONG_S)] == ["unknown"]
    assert [one.kept for one in await queue.renew([lease], for_s=LONG_S, reclaim=True)] == ["kept"]
    assert [one.kept for one in await queue.renew([former], for_s=LONG_S, reclaim=True)] == ["lost"]
    await journal.append(ACME, [line(2, run(1)), line(3, run(1))], lease=lease.number)
    sure = RedisQueue(valkey, settles_s=0.0)
    assert await sure.take("e2", limit=1, for_s=LONG_S) == []
    assert await sure.stats() == QueueStats(leased=1)


async def test_a_holder_hears_once_that_redis_was_started_again(valkey: redis.asyncio.Redis) -> None:
    queue = RedisQueue(valkey)
    await queue.offer(ACME, run(1), at=1.0)
    (lease,) = await queue.take("e", limit=1, for_s=LONG_S)
    told = []
    for process in (None, "the one before", None):
        if process is not None:
            await valkey.hset("flowray:acme:run:run-1", "process", process)
        (renewed,) = await queue.renew([lease], for_s=LONG_S)
        told.append((renewed.kept, renewed.forgot))
    assert told == [("kept", False), ("kept", True), ("kept", False)]


async def test_a_redis_that_was_started_again_hands_out_nothing_for_a_while(valkey: redis.asyncio.Redis) -> None:
    queue = RedisQueue(valkey, settles_s=0.2)
    await queue.offer(ACME, run(1), at=1.0)
    await queue.offer(ACME, run(2), at=2.0)
    assert runs(await queue.take("e", limit=1, for_s=LONG_S)) == ["run-1"]
    await valkey.hset("flowray:queue:server", "process", "the one before")
    assert await queue.take("e", limit=1, for_s=LONG_S) == []
    await asyncio.sleep(0.25)
    assert runs(await queue.take("e", limit=1, for_s=LONG_S)) == ["run-2"]

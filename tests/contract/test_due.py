"""What is due is done by one at a time, in Redis as in memory."""

from __future__ import annotations

import pytest
import redis.asyncio

from flowray.engine.events import RunId
from flowray.stores.due import DueList, MemoryDueList, RedisDueList
from flowray.stores.upkeep import RedisUpkeep

RUN = RunId("run-1")


@pytest.fixture(params=["memory", "redis"])
def due(request: pytest.FixtureRequest) -> DueList:
    if request.param == "memory":
        return MemoryDueList()
    return RedisDueList(request.getfixturevalue("valkey"), "callbacks")


async def test_what_is_due_is_taken_by_one(due: DueList) -> None:
    assert await due.add("acme", RUN)
    assert not await due.add("acme", RUN)
    (taken,) = await due.take(limit=9, for_s=100)
    assert (taken.tenant, taken.run, taken.tries) == ("acme", RUN, 1)
    assert list(await due.take(limit=9, for_s=100)) == []


async def test_what_its_taker_let_go_of_is_taken_again(due: DueList) -> None:
    await due.add("acme", RUN)
    await due.take(limit=9, for_s=0)
    (again,) = await due.take(limit=9, for_s=100)
    assert again.tries == 2
    await due.later(again, in_s=-1)
    (third,) = await due.take(limit=9, for_s=100)
    assert third.tries == 3
    await due.later(third, in_s=100)
    assert list(await due.take(limit=9, for_s=100)) == []


async def test_what_is_done_is_gone(due: DueList) -> None:
    await due.add("acme", RUN)
    (taken,) = await due.take(limit=9, for_s=0)
    await due.done(taken)
    await due.later(taken, in_s=-1)
    assert list(await due.take(limit=9, for_s=0)) == []
    await due.add("acme", RUN)
    assert [one.tries for one in await due.take(limit=9, for_s=0)] == [1]


async def test_of_each_tenant_one_is_taken_at_a_time_and_who_was_served_waits_behind_the_others(due: DueList) -> None:
    for tenant, run in [("acme", "a-1"), ("acme", "a-2"), ("globex", "g-1")]:
        await due.add(tenant, RunId(run))

    taken = [one.run for _ in range(4) for one in await due.take(limit=1, for_s=100)]

    assert taken == ["a-1", "g-1", "a-2"]


async def test_a_tenant_that_is_passed_over_keeps_what_is_due(due: DueList) -> None:
    for tenant in ("acme", "globex"):
        await due.add(tenant, RUN)

    others = await due.take(limit=9, for_s=100, passing=["acme"])
    its = await due.take(limit=9, for_s=100)

    assert [(one.tenant, one.tries) for one in (*others, *its)] == [("globex", 1), ("acme", 1)]


async def test_what_is_put_off_does_not_hide_what_its_tenant_has_due(due: DueList) -> None:
    await due.add("acme", RunId("first"))
    (first,) = await due.take(limit=9, for_s=0)
    await due.later(first, in_s=100)

    await due.add("acme", RunId("second"))

    assert [one.run for one in await due.take(limit=9, for_s=100)] == ["second"]


async def test_work_for_one_is_whose_turn_it_is_until_that_runs_out(valkey: redis.asyncio.Redis) -> None:
    upkeep = RedisUpkeep(valkey)
    assert await upkeep.mine("sweep", by="a", for_s=100)
    assert not await upkeep.mine("sweep", by="b", for_s=100)
    assert await upkeep.mine("sweep", by="a", for_s=100)
    assert await upkeep.mine("other", by="b", for_s=100)


async def test_an_emptied_redis_says_so(valkey: redis.asyncio.Redis) -> None:
    upkeep = RedisUpkeep(valkey)
    assert not await upkeep.is_filled("runs")
    assert await upkeep.note_filled("runs", await upkeep.begin("runs"))
    assert await upkeep.is_filled("runs")
    assert not await upkeep.is_filled("usage")
    await valkey.flushdb()
    assert not await upkeep.is_filled("runs")


async def test_what_was_emptied_while_it_was_filled_is_not_filled(valkey: redis.asyncio.Redis) -> None:
    upkeep = RedisUpkeep(valkey)
    begun = await upkeep.begin("runs")

    await valkey.flushdb()

    assert not await upkeep.note_filled("runs", begun)
    await upkeep.begin("runs")
    assert not await upkeep.note_filled("runs", begun)
    assert not await upkeep.is_filled("runs")


async def test_what_was_started_again_while_it_was_filled_is_not_filled(
    valkey: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    upkeep = RedisUpkeep(valkey)
    begun = await upkeep.begin("runs")

    async def another() -> str:
        return "another"

    monkeypatch.setattr(upkeep, "server", another)

    assert not await upkeep.note_filled("runs", begun)


async def test_two_that_fill_the_same_do_not_disturb_each_other(valkey: redis.asyncio.Redis) -> None:
    one, other = RedisUpkeep(valkey), RedisUpkeep(valkey)
    begun = await one.begin("runs")

    await other.begin("runs")

    assert await one.note_filled("runs", begun)


async def test_a_redis_has_one_name_from_its_start_to_its_end(valkey: redis.asyncio.Redis) -> None:
    upkeep = RedisUpkeep(valkey)
    assert len(await upkeep.server()) == 40
    assert await upkeep.server() == await upkeep.server()

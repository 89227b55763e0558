"""Runs that nobody drives any more, in a real Redis."""

from __future__ import annotations

import time

import pytest
import redis.asyncio

from flowray.engine.events import Event, Recorded, RunAccepted, RunFinished, RunId, RunPaused, RunStarted
from flowray.stores.archive import Archive
from flowray.stores.objects import ObjectStore, open_objects
from flowray.stores.redis_journal import RedisJournal
from flowray.stores.redis_keys import Keys
from flowray.stores.redis_open_runs import RedisOpenRuns
from flowray.stores.redis_queue import RedisQueue
from flowray.stores.redis_runs import RedisRuns

ACME, RUN = "acme", RunId("run-1")
ACCEPTED = RunAccepted(tenant=ACME, flow="f", flow_name="F", version="v", session="s")


class Hot:
    """What is hot of one run."""

    def __init__(self, client: redis.asyncio.Redis, objects: ObjectStore) -> None:
        self.journal = RedisJournal(client, Archive(objects))
        self.index = RedisRuns(client, Archive(objects))
        self.queue = RedisQueue(client)
        self.open = RedisOpenRuns(client)
        self._seq = 0

    async def happens(self, *events: Event, at: float | None = None) -> None:
        for event in events:
            self._seq += 1
            await self.journal.append(ACME, [Recorded(seq=self._seq, at=at or time.time(), run=RUN, event=event)])

    async def forsaken(self) -> list[str]:
        return [one.run for one in await self.open.forsaken()]

    async def status(self) -> str:
        [one] = await self.index.runs(ACME, limit=9)
        return one.status


@pytest.fixture
def hot(valkey: redis.asyncio.Redis) -> Hot:
    return Hot(valkey, open_objects("memory:"))


async def test_a_run_is_forsaken_once_its_engine_says_no_longer_that_it_lives(hot: Hot) -> None:
    await hot.happens(ACCEPTED, RunStarted(engine="gone"))
    [one] = await hot.open.forsaken()
    assert (one.tenant, one.run, one.engine) == (ACME, RUN, "gone")


async def test_a_run_whose_engine_lives_is_not(hot: Hot) -> None:
    await hot.open.live("engine-1", for_s=60)
    await hot.happens(ACCEPTED, RunStarted(engine="engine-1"))
    assert await hot.forsaken() == []


async def test_a_run_that_is_over_is_not(hot: Hot) -> None:
    await hot.happens(ACCEPTED, RunStarted(engine="gone"), RunFinished(status="succeeded"))
    assert await hot.forsaken() == []


async def test_a_run_that_waits_in_the_queue_is_not(hot: Hot) -> None:
    await hot.happens(ACCEPTED, RunStarted(engine="gone"))
    await hot.queue.offer(ACME, RUN, at=1.0)
    assert await hot.forsaken() == []


@pytest.mark.parametrize(("age_s", "found"), [(1.0, []), (60.0, [RUN])])
async def test_a_run_that_nobody_began_is_left_alone_while_it_is_young(
    hot: Hot, age_s: float, found: list[str]
) -> None:
    await hot.happens(ACCEPTED, at=time.time() - age_s)
    assert await hot.forsaken() == found


async def test_all_are_found_however_many_are_open_and_what_is_over_is_put_away_on_the_way(
    hot: Hot, valkey: redis.asyncio.Redis
) -> None:
    runs = [f"many-{number:03}" for number in range(450)]
    for number, run in enumerate(runs):
        state = ("finished", 1) if number % 3 == 0 else ("engine", "gone")
        await valkey.hset(f"flowray:{ACME}:run:{run}", *state)
        await valkey.zadd(Keys("flowray:").open, {f"{ACME}/{run}": number})

    found = await hot.forsaken()

    left = [run for number, run in enumerate(runs) if number % 3]
    assert found == left
    assert await valkey.zcard(Keys("flowray:").open) == len(left)


async def test_a_list_of_runs_says_which_of_them_wait(hot: Hot) -> None:
    await hot.happens(ACCEPTED, RunStarted(engine="one"))
    assert await hot.status() == "running"
    await hot.happens(RunPaused())
    assert await hot.status() == "paused"
    await hot.happens(RunStarted(engine="two"))
    assert await hot.status() == "running"

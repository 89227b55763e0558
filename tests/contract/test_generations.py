"""What replicas remember of flows when Redis comes back with an older state than it had confirmed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from flowray.stores.documents import Documents
from flowray.stores.generations import RedisGenerations
from flowray.stores.objects import open_objects
from flowray.stores.records import FlowRecord
from flowray.stores.redis import connect
from flowray_serve.embedded import EmbeddedValkey

ACME = "acme"
ONE, TWO = "1" * 64, "2" * 64


@pytest.fixture
async def client(embedded: EmbeddedValkey) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(embedded.url) as client:
        yield client


@pytest.mark.parametrize("how", ["started again", "failed over"])
async def test_a_redis_that_lost_its_last_second_hides_no_change(
    embedded: EmbeddedValkey, client: redis.asyncio.Redis, how: str
) -> None:
    objects = open_objects("memory:")
    here, there = (Documents(objects, RedisGenerations(client)) for _ in range(2))
    await publish(here, ONE)
    assert await served(there) == (ONE, ONE)
    before = await state(client)
    await publish(here, TWO)

    for key, value in before.items():
        await client.restore(key, 0, value, replace=True)
    if how == "started again":
        embedded.stop()
        embedded.start()
    else:
        await client.replicaof("127.0.0.1", "1")
        await client.replicaof("NO", "ONE")

    async with connect(embedded.url) as anew:
        assert await state(anew) == before
    assert await served(there) == (TWO, TWO)


async def test_as_long_as_nothing_changes_the_token_stays(client: redis.asyncio.Redis) -> None:
    here, there = (RedisGenerations(client) for _ in range(2))
    first = await here.current(ACME)

    assert [await here.current(ACME), await there.current(ACME)] == [first, first]
    await there.renew(ACME)
    assert await here.current(ACME) != first


async def publish(documents: Documents, version: str) -> None:
    await documents.save(ACME, FlowRecord(id="one", version=version, revision=version, document={"id": "one"}))
    await documents.versions.tag(ACME, "one", "prod", version)


async def served(documents: Documents) -> tuple[str | None, str | None]:
    """What the flow is, and what its tag stands at."""
    found = await documents.find(ACME, "one")
    return None if found is None else found.version, await documents.versions.resolve(ACME, "one", "prod")


async def state(client: redis.asyncio.Redis) -> dict[bytes, bytes]:
    return {key: await client.dump(key) or b"" async for key in client.scan_iter()}

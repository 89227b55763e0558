"""What is kept of nodes' results, in Redis and in memory."""

from __future__ import annotations

import asyncio

import pytest

from flowray.engine.cached import Results
from flowray.stores.memory_results import MemoryResults
from flowray.stores.objects import open_objects
from flowray.stores.redis_results import RedisResults


@pytest.fixture(params=["memory", "redis"])
def results(request: pytest.FixtureRequest) -> Results:
    objects = open_objects("memory:")
    if request.param == "memory":
        return MemoryResults(objects)
    return RedisResults(request.getfixturevalue("valkey"), objects)


async def test_what_was_kept_is_found_by_its_tenant_alone(results: Results) -> None:
    await results.keep("acme", "k1", b"content", for_s=60)
    assert await results.find("acme", "k1") == b"content"
    assert await results.find("other", "k1") is None
    assert await results.find("acme", "k2") is None


async def test_what_is_too_old_is_not_found(results: Results) -> None:
    await results.keep("acme", "k1", b"content", for_s=0.001)
    await asyncio.sleep(0.01)
    assert await results.find("acme", "k1") is None


async def test_a_stored_value_that_is_gone_is_not_there(results: Results) -> None:
    assert not await results.has("tenants/acme/values/run-1/abc")

from __future__ import annotations

import redis.asyncio

from flowray.engine.events import RunId
from flowray.quotas.amounts import Amounts
from flowray.quotas.quota import Quota, Terms
from flowray.quotas.ticket import Ticket
from flowray.quotas.usage import Row
from flowray.stores.objects import ObjectStore
from flowray.stores.redis_keys import Keys
from flowray.stores.redis_ledger import RedisLedger
from flowray.stores.redis_queue import RedisQueue
from flowray.stores.redis_usage import RedisUsageBook
from flowray.stores.tenant_data import TenantData

ACME, ACME_2 = "acme", "acme-2"


async def test_the_next_tenant_of_an_id_inherits_neither_usage_nor_terms_and_what_runs_is_still_held(
    objects: ObjectStore, valkey: redis.asyncio.Redis
) -> None:
    book, ledger = RedisUsageBook(valkey), RedisLedger(valkey, "holder")
    step = Ticket(id="step", tenant=ACME, pool="p", need=Amounts(steps=1))
    await ledger.inaugurate()
    await ledger.set_pools({"p": Amounts(steps=9)})
    await ledger.ask(step, Terms(version=7))
    for tenant in (ACME, ACME_2):
        await book.add(tenant, "run", {Row("2026-11-27", "flow"): {"tokens": 5.0}})

    await objects.put(f"tenants/{ACME}/flows/one.json", b"{}")

    await TenantData(objects, valkey).purge(ACME)

    assert [list(await book.changes(tenant)) for tenant in (ACME, ACME_2)] == [[], ["2026-11-27"]]
    assert await book.add(ACME, "run", {})
    assert await ledger.open_run("run", ACME, Terms(quota=Quota(runs=0), version=1)) == "full"
    assert (await ledger.standing(ACME)).held == step.need


async def test_the_queue_of_all_outlives_a_tenant_of_that_name_from_before(
    objects: ObjectStore, valkey: redis.asyncio.Redis
) -> None:
    await objects.put("tenants/queue/flows/one.json", b"{}")
    await RedisQueue(valkey).offer(ACME, RunId("run-1"), at=1.0)

    assert await TenantData(objects, valkey).purge("queue") == 1

    assert (await RedisQueue(valkey).stats()).waiting == 1
    assert await valkey.exists("flowray:queue:tenants")


async def test_what_a_tenant_has_left_is_found_and_removed_and_nobody_elses(
    objects: ObjectStore, valkey: redis.asyncio.Redis
) -> None:
    data = TenantData(objects, valkey)
    for tenant in (ACME, ACME_2):
        await objects.put(f"tenants/{tenant}/flows/one.json", b"{}")
        await objects.put(f"tenants/{tenant}/versions/one/1.json", b"{}")
        await valkey.set(Keys().flows(tenant), "1")
    await valkey.set("flowray:finished", "of all")
    assert [await data.is_there(tenant) for tenant in (ACME, ACME_2, "acm")] == [True, True, False]

    assert await data.purge(ACME) == 2

    assert [await data.is_there(tenant) for tenant in (ACME, ACME_2)] == [False, True]
    assert sorted(await valkey.keys()) == [
        b"flowray:acme-2:flows:generation",
        b"flowray:finished",
        b"flowray:{metrics}-purged:acme",  # goes by itself
    ]

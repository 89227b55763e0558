"""A tenant's changed quota holds for a step that waits alone: nobody has to ask for anything first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from flowray.quotas.amounts import Amounts
from flowray.quotas.ledger import NeverFitsError
from flowray.quotas.quota import Quota
from flowray.quotas.ticket import Ticket
from flowray.quotas.turnstile import Turnstile
from flowray.stores.objects import open_objects
from flowray.stores.redis_ledger import RedisLedger
from flowray.stores.tenant_records import ObjectTenantRecords
from flowray.tenancy.news import News
from flowray.tenancy.tenants import Tenants
from flowray_serve.admission.terms import Settled
from tests.contract.replicas import followed

ACME = "acme"
_WITHIN_S = 20


def step(name: str, memory_mib: int = 100) -> Ticket:
    return Ticket(id=name, tenant=ACME, pool="p", need=Amounts(steps=1, memory_mib=memory_mib))


@pytest.fixture
def records() -> ObjectTenantRecords:
    return ObjectTenantRecords(open_objects("memory:"))


@pytest.fixture
async def gateway(valkey: redis.asyncio.Redis, records: ObjectTenantRecords) -> AsyncIterator[Tenants]:
    """Where an operator settles something."""
    async with followed(valkey) as news:
        yield Tenants(records, news)


@pytest.fixture
async def engine(valkey: redis.asyncio.Redis, records: ObjectTenantRecords) -> AsyncIterator[Turnstile]:
    """Where steps wait: in another process, mostly."""
    ledger = RedisLedger(valkey, "engine")
    await ledger.inaugurate()
    await ledger.set_pools({"p": Amounts(100, 0, 0, 0)})
    async with followed(valkey) as news:
        turnstile = Turnstile(ledger, _terms(records, news).terms, renew_every_s=0.05)
        turnstile.start()
        yield turnstile
        await turnstile.close()


def _terms(records: ObjectTenantRecords, news: News) -> Settled:
    return Settled(Tenants(records, news), quota=Quota(), rates={})


async def waiting(engine: Turnstile, ledger: RedisLedger, ticket: Ticket) -> asyncio.Task[object]:
    """A step that stands in line by now."""
    task: asyncio.Task[object] = asyncio.create_task(engine.take(ticket, within_s=_WITHIN_S))
    while not (await ledger.standing(ACME)).waiting:
        pass  # each look lets the step go on
    return task


@pytest.fixture
def ledger(valkey: redis.asyncio.Redis) -> RedisLedger:
    return RedisLedger(valkey, "looks on")


async def test_a_raised_quota_lets_a_step_go_on_that_waits_alone(
    gateway: Tenants, engine: Turnstile, ledger: RedisLedger
) -> None:
    await gateway.create(ACME, {"quotas": {"steps": 1}})
    await engine.take(step("first"), within_s=_WITHIN_S)
    second = await waiting(engine, ledger, step("second"))

    await gateway.settle(ACME, {"quotas": {"steps": 2}})

    await second
    assert (await ledger.standing(ACME)).held.steps == 2


async def test_a_lowered_quota_is_told_to_a_step_that_can_never_fit_by_now(
    gateway: Tenants, engine: Turnstile, ledger: RedisLedger
) -> None:
    await gateway.create(ACME, {"quotas": {"steps": 1, "memory_mib": 500}})
    await engine.take(step("first"), within_s=_WITHIN_S)
    second = await waiting(engine, ledger, step("second", 400))

    await gateway.settle(ACME, {"quotas": {"steps": 1, "memory_mib": 300}})

    with pytest.raises(NeverFitsError):
        await second


async def test_the_later_of_two_changes_holds_though_its_gateway_is_behind_in_time(
    gateway: Tenants, engine: Turnstile, ledger: RedisLedger, records: ObjectTenantRecords, valkey: redis.asyncio.Redis
) -> None:
    await gateway.create(ACME, {"quotas": {"steps": 1}})
    await engine.take(step("first"), within_s=_WITHIN_S)
    second = await waiting(engine, ledger, step("second"))

    async with followed(valkey) as news:
        behind = Tenants(records, news, clock=lambda: 1.0)
        await behind.settle(ACME, {"quotas": {"steps": 2}})

    await second

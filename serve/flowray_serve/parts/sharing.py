"""How tenants share the cluster: the ledger of what they hold, their turns, rates and budgets."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from flowray.engine.ports import Steps
from flowray.errors import FlowRayError
from flowray.lasting import lasting
from flowray.quotas.amounts import Amounts
from flowray.quotas.buckets import MemoryBuckets, SteadyBuckets
from flowray.quotas.fair import FairRules
from flowray.quotas.ledger import Ledger, LedgerRules
from flowray.quotas.needs import StepSize
from flowray.quotas.prices import Price, Prices
from flowray.quotas.quota import Quota
from flowray.quotas.rate import rate_of
from flowray.quotas.turnstile import Turnstile
from flowray.sandbox.limits import Limits
from flowray.stores.archive import Archive
from flowray.stores.notices import NoticeRecords
from flowray.stores.objects import ObjectStore
from flowray.stores.places import Place, Places, RedisPlaces
from flowray.stores.redis import connect
from flowray.stores.redis_buckets import RedisBuckets
from flowray.stores.redis_ledger import RedisLedger
from flowray.stores.redis_queue import RedisQueue
from flowray.stores.redis_usage import CountedArchive, RedisUsageBook, UsageRecord
from flowray.stores.upkeep import RedisUpkeep
from flowray.tenancy.tenants import Tenants
from flowray_serve.admission.bounded import kept_in
from flowray_serve.admission.lending import Lending
from flowray_serve.admission.queued import FairTurns
from flowray_serve.admission.rates import RateLimiter
from flowray_serve.admission.runs import RunAdmission
from flowray_serve.admission.shares import Shares
from flowray_serve.admission.spending import BudgetKeeper
from flowray_serve.admission.steps import AdmittedSteps
from flowray_serve.admission.terms import Settled
from flowray_serve.parts.notices import Notices
from flowray_serve.parts.observing import Observing
from flowray_serve.parts.upkeep import owing_of
from flowray_serve.running_settings import PoolSettings
from flowray_serve.settings import Settings

log = logging.getLogger(__name__)
_COUNT_EVERY_S = 1.0
_KEEP_USAGE_EVERY_S = 60.0
# What a mark calls it that says whether Redis has all that was used.
USAGE = "usage"


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """What a process that runs things has to ask."""

    ledger: Ledger
    turnstile: Turnstile
    settled: Settled
    runs: RunAdmission
    limiter: RateLimiter
    shares: Shares
    book: RedisUsageBook
    prices: Prices
    tenants: Tenants
    counting: asyncio.Task[None]
    settings: Settings
    lending: Lending
    observing: Observing

    @property
    def turns(self) -> FairTurns:
        """Whose queued run is next."""
        return FairTurns(self.ledger, self.settled.terms, pools=self.settings.pools)

    def admitted(self, steps: Steps) -> AdmittedSteps:
        """The steps, each in its turn."""
        pools = self.settings.pools
        return AdmittedSteps(
            steps,
            self.turnstile,
            sizes={name: step_size(pool, self.settings) for name, pool in pools.items()},
            owners={name: frozenset(pool.owners) for name, pool in pools.items() if pool.owners},
            wait_s=self.settings.sharing.wait_s,
            lending=self.lending,
        )

    def archive(self, objects: ObjectStore) -> Archive:
        """Where finished journals go, each counted on its way."""
        return CountedArchive(objects, self.book, self.prices, counted=self.observing.run_ended)

    def usage(self, objects: ObjectStore, marks: RedisUpkeep) -> UsageRecord:
        """What was used, on record."""
        return UsageRecord(self.book, objects, Archive(objects), self.prices, is_whole=partial(marks.is_filled, USAGE))

    async def keep_usage(self, record: UsageRecord) -> None:
        """Keep what was used on days that are over, until cancelled."""
        while True:
            try:
                await record.keep_old_days([one.id for one in await self.tenants.list()])
            except FlowRayError as error:
                log.warning("Usage not kept", extra={"action": "usage_failed", "reason": error.message})
            await asyncio.sleep(_KEEP_USAGE_EVERY_S)

    async def close(self) -> None:
        """Give back what is held."""
        self.counting.cancel()
        await asyncio.wait([self.counting])
        await self.turnstile.close()


def build_sharing(
    redis: Any, objects: ObjectStore, settings: Settings, tenants: Tenants, observing: Observing, *, name: str
) -> Sharing:
    """Build it, in a process of its own; `name` is the process's as a holder, `observing` hears what ended."""
    ledger = RedisLedger(redis, name, rules=ledger_rules(settings))
    settled = Settled(
        tenants,
        quota=Quota(**dict(settings.quotas)),
        rates={kind: rate_of(text) for kind, text in settings.rates.items()},
    )
    turnstile = Turnstile(ledger, settled.terms)
    turnstile.start()

    async def running(tenant: str) -> int:
        return (await ledger.standing(tenant)).runs

    book, prices = RedisUsageBook(redis), prices_of(settings)
    notices = Notices(redis, NoticeRecords(objects), owing_of(redis, objects))
    budgets = BudgetKeeper(book, settled.budgets, notices.tell)
    shares = Shares(
        standing=ledger.standing,
        queued=RedisQueue(redis).length,
        kept=partial(kept_in, objects),
        terms=settled.terms,
        rates=settled.rates,
        budgets=settled.budgets,
        used=budgets.used,
        book=book,
    )
    buckets = SteadyBuckets(RedisBuckets(redis), replicas=settings.gateway.replicas, local=MemoryBuckets())
    return Sharing(
        ledger=ledger,
        turnstile=turnstile,
        settled=settled,
        runs=RunAdmission(turnstile, settled.terms, running=running, spending=budgets),
        shares=shares,
        book=book,
        prices=prices,
        tenants=tenants,
        limiter=RateLimiter(buckets, settled.rates),
        counting=lasting(partial(_count, RedisPlaces(redis), ledger, settings.pools), name="count the pools"),
        settings=settings,
        lending=Lending(),
        observing=observing,
    )


async def open_ledger(redis_url: str, settings: Settings) -> None:
    """Say that nothing runs yet, before anything does: a new ledger would wait for its holders to renew."""
    async with connect(redis_url) as redis:
        await RedisLedger(redis, "deploy", rules=ledger_rules(settings)).inaugurate()


def step_limits(pool: PoolSettings, settings: Settings) -> Limits:
    """What a sandbox of this pool is held to: a step takes from its tenant's quota what its sandbox may use."""
    size = step_size(pool, settings)
    return Limits(**{**dict(settings.limits), "memory_mib": size.memory_mib, "cores": size.cpu})


def ledger_rules(settings: Settings) -> LedgerRules:
    """How the ledger decides."""
    return LedgerRules(fair=FairRules(fair=settings.sharing.fair, patience_s=settings.sharing.patience_s))


def prices_of(settings: Settings) -> Prices:
    """The operator's table."""
    said = settings.prices
    models = {name: Price(price.input, price.output) for name, price in said.models.items()}
    return Prices(models=models, cpu_hour=said.cpu_hour, memory_gib_hour=said.memory_gib_hour)


def step_size(pool: PoolSettings, settings: Settings) -> StepSize:
    """What a step takes whose components ask for nothing."""
    return StepSize(cpu=pool.step_cpu, memory_mib=pool.step_memory_mib or settings.limits.memory_mib)


def capacities(places: Sequence[Place], pools: Mapping[str, PoolSettings]) -> Mapping[str, Amounts]:
    """What the Runners that are there have together, by pool."""
    runners = Counter(place.pool for place in places)
    steps: Counter[str] = Counter()
    for place in places:
        steps[place.pool] += place.capacity
    return {
        name: Amounts(
            steps=steps[name],
            cpu_m=round(runners[name] * pool.cpu * 1000),
            memory_mib=runners[name] * pool.memory_mib,
            gpu_m=round(runners[name] * pool.gpu * 1000),
        )
        for name, pool in pools.items()
    }


async def _count(places: Places, ledger: Ledger, pools: Mapping[str, PoolSettings]) -> None:
    """Tell the ledger what the pools have, as Runners come and go."""
    while True:
        try:
            await ledger.set_pools(capacities(await places.all(), pools))
        except FlowRayError as error:
            log.warning("Pools not counted", extra={"action": "count_failed", "reason": error.message})
        await asyncio.sleep(_COUNT_EVERY_S)

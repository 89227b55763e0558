"""The numbers that are looked up when somebody asks: what goes on now, and what may."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from flowray.engine.leasing import Waiting
from flowray.observe import families as of
from flowray.observe.families import Family
from flowray.quotas.ledger import Standing
from flowray.quotas.quota import Quota, Terms
from flowray.stores.places import Place

_MIB = 1024 * 1024


class Sample(NamedTuple):
    """One number of a gauge."""

    family: Family
    labels: tuple[str, ...]
    value: float


class Queues(Protocol):
    """The queues of all tenants."""

    async def waiting(self) -> Sequence[Waiting]:
        """Each tenant's that is not empty."""


class Runners(Protocol):
    """Who takes steps."""

    async def all(self) -> Sequence[Place]:
        """Everyone who can be reached."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Asks the ledger, the settings, the queues and the Runners' announcements."""

    tenants: Callable[[], Awaitable[Collection[str]]]
    standing: Callable[[str], Awaitable[Standing]]
    terms: Callable[[str], Awaitable[Terms]]
    queues: Queues
    runners: Runners
    pools: Collection[str]
    version: str
    clock: Callable[[], float] = time.time

    async def of(self, tenants: Collection[str] | None = None) -> Sequence[Sample]:
        """The numbers of these tenants; or of all, and of what serves them."""
        named = await self.tenants() if tenants is None else tenants
        waiting = {one.tenant: one for one in await self.queues.waiting()}
        taken: list[Sample] = [Sample(of.INFO, (self.version,), 1)]
        for some in await asyncio.gather(*(self._of_one(tenant, waiting.get(tenant)) for tenant in sorted(named))):
            taken += some
        if tenants is None:
            taken += _of_runners(self.pools, await self.runners.all())
        return taken

    async def _of_one(self, tenant: str, waiting: Waiting | None) -> Sequence[Sample]:
        standing, terms = await self.standing(tenant), await self.terms(tenant)
        queued = waiting.length if waiting else 0
        oldest_s = max(self.clock() - waiting.oldest_at, 0.0) if waiting else 0.0
        return [
            *(Sample(of.USED, (tenant, name), used) for name, used in _used(standing, queued).items()),
            *(Sample(of.QUOTA, (tenant, name), most) for name, most in _most(terms.quota)),
            Sample(of.STEPS_WAITING, (tenant,), standing.waiting),
            Sample(of.QUEUE_RUNS, (tenant,), queued),
            Sample(of.QUEUE_SECONDS, (tenant,), oldest_s),
        ]


def _used(standing: Standing, queued: int) -> Mapping[str, float]:
    held = standing.held
    return {
        "runs": standing.runs,
        "queued": queued,
        "steps": held.steps,
        "cpu": held.cpu_m / 1000,
        "memory": held.memory_mib * _MIB,
        "gpu": held.gpu_m / 1000,
    }


def _most(quota: Quota) -> Iterator[tuple[str, float]]:
    memory = None if quota.memory_mib is None else quota.memory_mib * _MIB
    for name in ("runs", "queued", "steps", "cpu", "gpu"):
        if (most := getattr(quota, name)) is not None:
            yield name, most
    if memory is not None:
        yield "memory", memory


def _of_runners(pools: Collection[str], places: Sequence[Place]) -> Iterator[Sample]:
    runners, steps = Counter(place.pool for place in places), Counter[str]()
    for place in places:
        steps[place.pool] += place.capacity
    for pool in sorted({*pools, *runners}):  # a pool without Runners is the one to be told of
        yield Sample(of.RUNNERS, (pool,), runners[pool])
        yield Sample(of.RUNNER_STEPS, (pool,), steps[pool])

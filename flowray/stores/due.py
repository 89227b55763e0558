"""What has to be done at a time: a list in Redis, from which each entry is taken by one at a time, until it is done."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import redis.asyncio

from flowray.engine.events import RunId
from flowray.engine.leasing import member_of, of_member
from flowray.stores.redis import answered

# KEYS: the times, the tries. ARGV: most, and the seconds for which nobody else takes what is taken.
_TAKE = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local taken = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  redis.call('ZADD', KEYS[1], now + ARGV[2], member)
  taken[#taken + 1] = member
  taken[#taken + 1] = redis.call('HINCRBY', KEYS[2], member, 1)
end
return taken
"""
# KEYS: the times. ARGV: member, seconds.
_LATER = """
local t = redis.call('TIME')
return redis.call('ZADD', KEYS[1], 'XX', tonumber(t[1]) + tonumber(t[2]) / 1000000 + ARGV[2], ARGV[1])
"""


@dataclass(frozen=True, kw_only=True)
class Due:
    """One entry, and how often it has been taken."""

    tenant: str
    run: RunId
    tries: int


class DueList(Protocol):
    """Runs that something has to be done for."""

    async def add(self, tenant: str, run: RunId) -> None:
        """Let it be due now, unless it is on the list already."""

    async def take(self, *, limit: int, for_s: float) -> Sequence[Due]:
        """What is due; nobody else gets it for `for_s`."""

    async def later(self, due: Due, *, in_s: float) -> None:
        """Let it be due again after a time."""

    async def done(self, due: Due) -> None:
        """Take it off the list."""


class MemoryDueList:
    """The list of one process."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._times: dict[tuple[str, RunId], float] = {}
        self._tries: defaultdict[tuple[str, RunId], int] = defaultdict(int)

    async def add(self, tenant: str, run: RunId) -> None:
        """See `DueList`."""
        self._times.setdefault((tenant, run), 0.0)

    async def take(self, *, limit: int, for_s: float) -> Sequence[Due]:
        """See `DueList`."""
        keys = [key for key, at in self._times.items() if at <= self._clock()][:limit]
        for key in keys:
            self._times[key] = self._clock() + for_s
            self._tries[key] += 1
        return [Due(tenant=tenant, run=run, tries=self._tries[tenant, run]) for tenant, run in keys]

    async def later(self, due: Due, *, in_s: float) -> None:
        """See `DueList`."""
        if (due.tenant, due.run) in self._times:
            self._times[due.tenant, due.run] = self._clock() + in_s

    async def done(self, due: Due) -> None:
        """See `DueList`."""
        self._times.pop((due.tenant, due.run), None)
        self._tries.pop((due.tenant, due.run), None)


class RedisDueList:
    """See `DueList`. `name` tells lists apart."""

    def __init__(self, client: redis.asyncio.Redis, name: str, *, prefix: str = "flowray:") -> None:
        self._redis = client
        self._times, self._tries = f"{prefix}due:{name}", f"{prefix}due:{name}:tries"
        self._take = client.register_script(_TAKE)
        self._later = client.register_script(_LATER)

    async def add(self, tenant: str, run: RunId) -> None:
        """See `DueList`."""
        async with answered():
            await self._redis.zadd(self._times, {member_of(tenant, run): 0.0}, nx=True)

    async def take(self, *, limit: int, for_s: float) -> Sequence[Due]:
        """See `DueList`."""
        async with answered():
            found: list[Any] = await self._take([self._times, self._tries], [limit, for_s])
        pairs = zip(found[::2], found[1::2], strict=True)
        return [_due(member.decode(), tries) for member, tries in pairs]

    async def later(self, due: Due, *, in_s: float) -> None:
        """See `DueList`."""
        async with answered():
            await self._later([self._times], [member_of(due.tenant, due.run), in_s])

    async def done(self, due: Due) -> None:
        """See `DueList`."""
        member = member_of(due.tenant, due.run)
        async with answered(), self._redis.pipeline(transaction=True) as pipe:
            pipe.zrem(self._times, member)
            pipe.hdel(self._tries, member)
            await pipe.execute()


def _due(member: str, tries: int) -> Due:
    tenant, run = of_member(member)
    return Due(tenant=tenant, run=run, tries=int(tries))

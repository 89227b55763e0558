"""What has to be done at a time: lists in Redis, from which each entry is taken by one at a time, until it is done.

Each tenant has a list of its own, and a turn: whoever was served waits behind those who were not yet.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import redis.asyncio

from flowray.engine.events import RunId
from flowray.engine.leasing import member_of, of_member
from flowray.stores.redis import answered

# As text: Redis would round a number to a tenth of a millisecond.
_NOW = """
local t = redis.call('TIME')
local now = string.format('%d.%06d', t[1], t[2])
local function after(seconds) return string.format('%.6f', now + seconds) end
"""
# KEYS: the turns, the tenant's times. ARGV: tenant, member. The answer: whether it was not there before.
_ADD = f"""{_NOW}
local is_new = redis.call('ZADD', KEYS[2], 'NX', now, ARGV[2])
if is_new == 1 then redis.call('ZADD', KEYS[1], 'LT', now, ARGV[1]) end
return is_new
"""
# KEYS: the turns, the tries. ARGV: what the keys of tenants' times begin with, most, the seconds for which nobody else
# takes what is taken, and the tenants that are passed over.
_TAKE = f"""{_NOW}
local passed, taken = {{}}, {{}}
for i = 4, #ARGV do passed[ARGV[i]] = true end
local function take(times)
  local member = redis.call('ZRANGEBYSCORE', times, '-inf', now, 'LIMIT', 0, 1)[1]
  if not member then return end
  redis.call('ZADD', times, after(ARGV[3]), member)
  taken[#taken + 1] = member
  taken[#taken + 1] = redis.call('HINCRBY', KEYS[2], member, 1)
end
local function wait_again(tenant, times)
  local at = redis.call('ZRANGE', times, 0, 0, 'WITHSCORES')[2]
  if not at then return redis.call('ZREM', KEYS[1], tenant) end
  redis.call('ZADD', KEYS[1], tonumber(at) > tonumber(now) and at or now, tenant)
end
for _, tenant in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  if #taken >= 2 * ARGV[2] then break end
  if not passed[tenant] then
    take(ARGV[1] .. tenant)
    wait_again(tenant, ARGV[1] .. tenant)
  end
end
return taken
"""
# KEYS: the turns, the tenant's times. ARGV: tenant, member, seconds.
_LATER = f"""{_NOW}
if redis.call('ZADD', KEYS[2], 'XX', 'CH', after(ARGV[3]), ARGV[2]) == 1 then
  redis.call('ZADD', KEYS[1], 'LT', after(ARGV[3]), ARGV[1])
end
"""


@dataclass(frozen=True, kw_only=True)
class Due:
    """One entry, and how often it has been taken."""

    tenant: str
    run: RunId
    tries: int


class DueList(Protocol):
    """Runs that something has to be done for."""

    async def add(self, tenant: str, run: RunId) -> bool:
        """Let it be due now, unless it is on the list already; whether it was not."""

    async def take(self, *, limit: int, for_s: float, passing: Collection[str] = ()) -> Sequence[Due]:
        """What is due, at most one entry of each tenant but those passed over; nobody else gets it for `for_s`."""

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
        self._turns: defaultdict[str, int] = defaultdict(int)

    async def add(self, tenant: str, run: RunId) -> bool:
        """See `DueList`."""
        is_new = (tenant, run) not in self._times
        self._times.setdefault((tenant, run), self._clock())
        return is_new

    async def take(self, *, limit: int, for_s: float, passing: Collection[str] = ()) -> Sequence[Due]:
        """See `DueList`."""
        now, first = self._clock(), dict[str, RunId]()
        for tenant, run in sorted(self._times, key=self._times.__getitem__):
            if self._times[tenant, run] <= now and tenant not in passing:
                first.setdefault(tenant, run)
        return [self._taken(one, first[one], now + for_s) for one in sorted(first, key=self._turns.__getitem__)[:limit]]

    def _taken(self, tenant: str, run: RunId, until: float) -> Due:
        self._times[tenant, run] = until
        self._tries[tenant, run] += 1
        self._turns[tenant] = max(self._turns.values()) + 1
        return Due(tenant=tenant, run=run, tries=self._tries[tenant, run])

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
        key = f"{prefix}due:{name}"
        self._turns, self._tries, self._times_of = f"{key}:turns", f"{key}:tries", f"{key}:of:"
        self._add = client.register_script(_ADD)
        self._take = client.register_script(_TAKE)
        self._later = client.register_script(_LATER)

    async def add(self, tenant: str, run: RunId) -> bool:
        """See `DueList`."""
        async with answered():
            return bool(await self._add([self._turns, self._times_of + tenant], [tenant, member_of(tenant, run)]))

    async def take(self, *, limit: int, for_s: float, passing: Collection[str] = ()) -> Sequence[Due]:
        """See `DueList`."""
        asked: list[str | float] = [self._times_of, limit, for_s, *passing]
        async with answered():
            found: list[Any] = await self._take([self._turns, self._tries], asked)
        pairs = zip(found[::2], found[1::2], strict=True)
        return [_due(member.decode(), tries) for member, tries in pairs]

    async def later(self, due: Due, *, in_s: float) -> None:
        """See `DueList`."""
        asked: list[str | float] = [due.tenant, member_of(due.tenant, due.run), in_s]
        async with answered():
            await self._later([self._turns, self._times_of + due.tenant], asked)

    async def done(self, due: Due) -> None:
        """See `DueList`."""
        member = member_of(due.tenant, due.run)
        async with answered(), self._redis.pipeline(transaction=True) as pipe:
            pipe.zrem(self._times_of + due.tenant, member)
            pipe.hdel(self._tries, member)
            await pipe.execute()


def _due(member: str, tries: int) -> Due:
    tenant, run = of_member(member)
    return Due(tenant=tenant, run=run, tries=int(tries))

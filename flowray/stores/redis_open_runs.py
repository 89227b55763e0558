"""Open runs that nobody drives any more: their process said that it lives, and says so no longer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from flowray.engine.events import RunId
from flowray.engine.leasing import of_member
from flowray.stores.redis import answered
from flowray.stores.redis_keys import Keys

# KEYS: the open runs. ARGV: prefix, seconds for which a run that nobody has begun is left alone, where to begin, how
# many to look at: few enough to let nobody wait. Answers where to go on, or -1, and what it found.
# What is over, queued, leased or parked has somebody who looks after it.
_FORSAKEN = """
local P, first, most = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local now = tonumber(redis.call('TIME')[1])
local function gone(engine, accepted)
  if engine then return redis.call('EXISTS', P..'alive:'..engine) == 0 end
  return now - accepted > tonumber(ARGV[2])
end
local found = redis.call('ZRANGE', KEYS[1], first, first + most - 1, 'WITHSCORES')
local told, over = {-1}, 0
for at = 1, #found, 2 do
  local member = found[at]
  local tenant, run = string.match(member, '^([^/]*)/(.*)$')
  local finished, queue, engine = unpack(redis.call('HMGET', P..tenant..':run:'..run, 'finished', 'queue', 'engine'))
  if finished or queue then
    redis.call('ZREM', KEYS[1], member)
    over = over + 1
  elseif gone(engine, tonumber(found[at + 1])) then
    told[#told + 1] = member
    told[#told + 1] = engine or ''
    told[#told + 1] = found[at + 1]
  end
end
if #found == 2 * most then told[1] = first + most - over end
return told
"""
_LOOKED_AT, _AT_ONCE = 1_000, 100
_YOUNG_S = 15


@dataclass(frozen=True, kw_only=True)
class ForsakenRun:
    """A run whose `engine` says no longer that it lives; empty when none had begun it. `at` is when it was accepted."""

    tenant: str
    run: RunId
    engine: str
    at: float


class RedisOpenRuns:
    """Who drives runs says that it lives; what it drove when it no longer does is found."""

    def __init__(self, client: redis.asyncio.Redis, *, prefix: str = "flowray:") -> None:
        self._redis = client
        self._prefix = prefix
        self._open = Keys(prefix).open
        self._forsaken = client.register_script(_FORSAKEN)

    async def live(self, engine: str, *, for_s: int) -> None:
        """Say that this engine lives, and will say so again before this runs out."""
        async with answered():
            await self._redis.set(f"{self._prefix}alive:{engine}", 1, ex=for_s)

    async def forsaken(self) -> Sequence[ForsakenRun]:
        """The runs among the oldest open ones that nobody drives."""
        found: list[ForsakenRun] = []
        at = 0
        while 0 <= at < _LOOKED_AT:
            async with answered():
                told: list[Any] = await self._forsaken([self._open], [self._prefix, _YOUNG_S, at, _AT_ONCE])
            at, *told = told
            found += [_forsaken(*told[one : one + 3]) for one in range(0, len(told), 3)]
        return found


def _forsaken(member: bytes, engine: bytes, at: bytes) -> ForsakenRun:
    tenant, run = of_member(member.decode())
    return ForsakenRun(tenant=tenant, run=run, engine=engine.decode(), at=float(at))

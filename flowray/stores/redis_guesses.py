"""Failed attempts at keys that all replicas count together, in one script per failure."""

from __future__ import annotations

from collections.abc import Callable

import redis.asyncio

from flowray.quotas.guesses import Patience, block
from flowray.stores.redis import NOW, answered

_ANSWER_S = 1.0
_KNOWN = (
    NOW
    + """
local known = redis.call('HMGET', KEYS[1], 'count', 'until', 'last')
local left = string.format('%.17g', math.max(0, (tonumber(known[2]) or 0) - now))
"""
)
# KEYS: the source. ARGV: the time or nothing.
_WAIT = f"{_KNOWN} return left"
# And: the attempt, then the numbers of `Patience`. See `MemoryGuesses.failed`.
_FAILED = f"""{_KNOWN}
if known[3] == ARGV[2] then return left end
local count = (tonumber(known[1]) or 0) + 1
local doublings = math.min(count - tonumber(ARGV[3]), 20)
local wait = 0
if doublings > 0 then wait = math.min(tonumber(ARGV[4]) * 2 ^ (doublings - 1), tonumber(ARGV[5])) end
redis.call('HSET', KEYS[1], 'count', count, 'until', string.format('%.17g', now + wait), 'last', ARGV[2])
redis.call('PEXPIRE', KEYS[1], math.ceil(tonumber(ARGV[6]) * 1000))
return string.format('%.17g', wait)
"""


class RedisGuesses:
    """See `flowray.quotas.guesses.Guesses`. Without a `clock` the time is Redis's own."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        *,
        patience: Patience | None = None,
        prefix: str = "flowray:",
        clock: Callable[[], float] | None = None,
    ) -> None:
        patience = patience or Patience()
        self._numbers = [patience.free, patience.first_s, patience.longest_s, patience.forgotten_s]
        self._base = f"{prefix}guesses:"
        self._clock = clock
        self._wait = client.register_script(_WAIT)
        self._failed = client.register_script(_FAILED)

    async def wait_s(self, source: str) -> float:
        """See `Guesses`."""
        async with answered(within_s=_ANSWER_S):
            return float(await self._wait([self._key(source)], [self._now()]))

    async def failed(self, source: str, attempt: str) -> float:
        """See `Guesses`."""
        async with answered(within_s=_ANSWER_S):
            return float(await self._failed([self._key(source)], [self._now(), attempt, *self._numbers]))

    def _key(self, source: str) -> str:
        return f"{self._base}{block(source)}"

    def _now(self) -> str:
        return "" if self._clock is None else repr(self._clock())

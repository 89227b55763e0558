"""Token buckets that all replicas share, in one script per request: exact, however many ask at the same moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import redis.asyncio

from flowray.quotas.rate import Rate, Taken
from flowray.stores.redis import NOW, answered

# A rate limit must not hold a request for long: without an answer by then, the local mode holds.
_ANSWER_S = 1.0

# KEYS: the buckets. ARGV: the time or nothing, then seconds per token, burst and slack of each. See `Bucket.take`.
_TAKE = (
    NOW
    + """
local answer, after, all = {}, {}, true
for i, key in ipairs(KEYS) do
  local each, burst = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local room = burst * each + tonumber(ARGV[3 * i + 1])
  local full_at = math.max(tonumber(redis.call('GET', key) or 0), now)
  local missing = full_at - now
  if missing + each > room then
    all = false
    answer[i] = {0, 0, string.format('%.17g', missing - (burst - 1) * each), string.format('%.17g', missing)}
  else
    after[i] = full_at + each
    local full = after[i] - now
    answer[i] = {1, math.floor((room - full) / each), '0', string.format('%.17g', full)}
  end
end
if all then
  for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.17g', after[i]), 'PX', math.ceil((after[i] - now) * 1000) + 1)
  end
end
return answer
"""
)


class RedisBuckets:
    """See `flowray.quotas.buckets.Buckets`. Without a `clock` the time is Redis's own. A full bucket is no key."""

    def __init__(
        self, client: redis.asyncio.Redis, *, prefix: str = "flowray:", clock: Callable[[], float] | None = None
    ) -> None:
        self._base = f"{prefix}{{rate}}:"
        self._clock = clock
        self._script = client.register_script(_TAKE)

    async def take(self, asked: Sequence[tuple[str, Rate]]) -> Sequence[Taken]:
        """See `Buckets`."""
        now = "" if self._clock is None else repr(self._clock())
        numbers = [repr(number) for _, rate in asked for number in (rate.each_s, rate.burst, rate.slack_s)]
        async with answered(within_s=_ANSWER_S):
            found = await self._script([f"{self._base}{name}" for name, _ in asked], [now, *numbers])
        return [
            Taken(allowed=bool(allowed), left=left, again_s=float(again), full_s=float(full))
            for allowed, left, again, full in found
        ]

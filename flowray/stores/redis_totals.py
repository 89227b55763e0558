"""What all processes have counted together: a hash of sums for each tenant, gone when nothing was added for long."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, cast

import redis.asyncio
import redis.exceptions

from flowray.engine.codec import dumps, loads
from flowray.observe.families import COUNTED
from flowray.observe.tally import SUM, Series, without_names
from flowray.stores.redis import answered
from flowray.stores.redis_keys import Keys

log = logging.getLogger(__name__)
_KEPT_S: Final = 30 * 86_400
_MOST_SERIES: Final = 20_000
# A script that takes long keeps everybody else waiting.
_AT_ONCE: Final = 300
_BY_NAME = {family.name: family for family in COUNTED}

# KEYS: the tenant's sums, the tenants that have some, what tells of a purge. ARGV: the tenant, seconds to keep, most
# series, and for each series: the field that is there when its labels have one of their own, its field, where it goes
# when there are too many, the amount.
_ADD = """
if redis.call('EXISTS', KEYS[3]) == 1 then
  return
end
for at = 4, #ARGV, 4 do
  local field = ARGV[at + 1]
  if redis.call('HEXISTS', KEYS[1], ARGV[at]) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then
    field = ARGV[at + 2]
  end
  redis.call('HINCRBYFLOAT', KEYS[1], field, ARGV[at + 3])
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('SADD', KEYS[2], ARGV[1])
"""


class RedisTotals:
    """See `flowray.observe.totals.Totals`.

    Of a tenant with too many series, the rest counts under the name `other`; all parts of a histogram or summary go
    where its `sum` does.

    What Redis refuses of one tenant's is left out and logged: it would refuse it again, and add everybody else's again.
    """

    def __init__(
        self, client: redis.asyncio.Redis, *, prefix: str = "flowray:", most_series: int = _MOST_SERIES
    ) -> None:
        self._redis = client
        self._keys = Keys(prefix)
        self._most_series = most_series
        self._script = client.register_script(_ADD)

    async def add(self, amounts: Mapping[Series, float]) -> None:
        """See `Totals`."""
        by_tenant: defaultdict[str, list[tuple[Series, float]]] = defaultdict(list)
        # Sums first: where they go, their counts and buckets follow.
        for series, amount in sorted(amounts.items(), key=lambda one: one[0].part not in ("", SUM)):
            by_tenant[series.tenant].append((series, amount))
        asked = [
            (tenant, theirs[at : at + _AT_ONCE])
            for tenant, theirs in by_tenant.items()
            for at in range(0, len(theirs), _AT_ONCE)
        ]
        async with answered(), self._redis.pipeline(transaction=False) as pipe:
            for tenant, some in asked:
                await self._script(
                    [self._keys.totals(tenant), self._keys.counted, self._keys.purged(tenant)],
                    [tenant, _KEPT_S, self._most_series, *_words(some)],
                    client=pipe,
                )
            said = await pipe.execute(raise_on_error=False)
        for (tenant, _), answer in zip(asked, said, strict=True):
            _tell_of_refusal(tenant, answer)

    async def read(self, tenants: Collection[str] | None = None) -> Mapping[Series, float]:
        """See `Totals`."""
        asked = sorted(await self._counted() if tenants is None else tenants)
        async with answered(), self._redis.pipeline(transaction=False) as pipe:
            for tenant in asked:
                pipe.hgetall(self._keys.totals(tenant))
            found = await pipe.execute()
        gone = [tenant for tenant, sums in zip(asked, found, strict=True) if not sums]
        if gone:
            async with answered():
                await cast("Any", self._redis.srem(self._keys.counted, *gone))
        return {_series(field): float(total) for sums in found for field, total in sums.items()}

    async def _counted(self) -> Sequence[str]:
        async with answered():
            return [one.decode() for one in await cast("Any", self._redis.smembers(self._keys.counted))]


def _tell_of_refusal(tenant: str, answer: object) -> None:
    if isinstance(answer, redis.exceptions.ResponseError):
        facts = {"action": "metrics_refused", "tenant": tenant, "reason": str(answer)}
        log.warning("Not counted, and not tried again", extra=facts)


def _words(some: Collection[tuple[Series, float]]) -> Iterator[bytes | str]:
    for series, amount in some:
        yield dumps(series._replace(part=SUM) if series.part else series)
        yield dumps(series)
        yield dumps(without_names(series, _BY_NAME[series.family]))
        yield f"{amount:.17g}"


def _series(field: bytes) -> Series:
    family, labels, part = loads(field)
    return Series(family, tuple(labels), part)

"""Uses of keys in Redis: nice to know, and gone with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import redis.asyncio

from flowray.stores.redis import answered
from flowray.stores.redis_keys import Keys


class RedisKeyUseRecords:
    """See `flowray.tenancy.key_uses.KeyUseRecords`. A use is how often, and when last."""

    def __init__(self, client: redis.asyncio.Redis, *, prefix: str = "flowray:") -> None:
        self._redis = client
        self._keys = Keys(prefix)

    async def add(self, tenant: str, uses: Mapping[str, tuple[int, float]]) -> None:
        """Count these uses too, by the keys' ids."""
        counts, times = self._keys.key_uses(tenant), self._keys.keys_used_at(tenant)
        async with answered(), self._redis.pipeline(transaction=False) as pipe:
            for key_id, (count, last_at) in uses.items():
                pipe.hincrby(counts, key_id, count)
                pipe.hset(times, key_id, str(last_at))
            await pipe.execute()

    async def of(self, tenant: str) -> Mapping[str, tuple[int, float]]:
        """How the tenant's keys were used, by their ids."""
        async with answered(), self._redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(self._keys.key_uses(tenant))
            pipe.hgetall(self._keys.keys_used_at(tenant))
            counts, times = cast("list[dict[bytes, bytes]]", await pipe.execute())
        return {
            key_id.decode(): (int(count), float(times[key_id])) for key_id, count in counts.items() if key_id in times
        }

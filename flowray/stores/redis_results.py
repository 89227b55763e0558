"""Results of nodes in Redis, for those that may be told again: losing them costs running the nodes."""

from __future__ import annotations

import redis.asyncio

from flowray.errors import StoreUnavailableError
from flowray.stores.objects import ObjectStore
from flowray.stores.redis import answered
from flowray.stores.redis_keys import Keys


class RedisResults:
    """See `flowray.engine.cached.Results`."""

    def __init__(self, client: redis.asyncio.Redis, objects: ObjectStore, *, prefix: str = "flowray:") -> None:
        self._redis = client
        self._objects = objects
        self._keys = Keys(prefix)

    async def find(self, tenant: str, key: str) -> bytes | None:
        """See `Results`."""
        async with answered():
            found = await self._redis.get(self._keys.result(tenant, key))
        return found if isinstance(found, bytes) else None

    async def keep(self, tenant: str, key: str, content: bytes, *, for_s: float) -> None:
        """See `Results`."""
        async with answered():
            await self._redis.set(self._keys.result(tenant, key), content, px=max(int(for_s * 1_000), 1))

    async def has(self, ref_key: str) -> bool:
        """See `Results`."""
        try:
            return await self._objects.exists(ref_key)
        except StoreUnavailableError:
            return False

"""All that a tenant has left, wherever it is kept: found, so that nobody inherits it, and removed for good."""

from __future__ import annotations

import redis.asyncio

from flowray.errors import ConflictError, InvalidRequestError
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path
from flowray.stores.redis import answered
from flowray.stores.redis_keys import SHARED, Keys

_AT_ONCE = 500
# Longer than a process keeps a number to itself before it adds it to the totals.
_PURGED_S = 120


class TenantData:
    """What lies below a tenant's folder and a tenant's part of Redis. A tenant's settings are not among it."""

    def __init__(self, objects: ObjectStore, client: redis.asyncio.Redis | None, *, prefix: str = "flowray:") -> None:
        self._objects = objects
        self._redis = client
        self._keys = Keys(prefix)

    async def require_free(self, tenant: str) -> None:
        """Raise unless a new tenant can have this id: what lies below it would become its own."""
        if tenant in SHARED:
            raise InvalidRequestError(
                f"`{tenant}` cannot be a tenant: FlowRay keeps what belongs to all below that name. Choose another id."
            )
        if await self.is_there(tenant):
            raise ConflictError(
                f"A former tenant `{tenant}` has left data, which would become this one's. Choose another id, or "
                "remove the former one for good: DELETE with `purge=true`."
            )

    async def is_there(self, tenant: str) -> bool:
        """Whether a tenant has left anything in the record."""
        async for _ in self._objects.list(path(tenant)):
            return True
        return False

    async def purge(self, tenant: str) -> int:
        """Remove all of it, for good; how many objects there were.

        For two minutes nothing is counted under this id: what processes have yet to add is the former tenant's.
        """
        keys = [one.key async for one in self._objects.list(path(tenant))]
        for key in keys:
            await self._objects.delete(key)
        if self._redis is not None:
            await self._purge_redis(self._redis, tenant)
        return len(keys)

    async def _purge_redis(self, client: redis.asyncio.Redis, tenant: str) -> None:
        async with answered():
            await client.set(self._keys.purged(tenant), "1", ex=_PURGED_S)
        for pattern in self._keys.all_of(tenant):
            await _unlink(client, pattern)


async def _unlink(client: redis.asyncio.Redis, pattern: str) -> None:
    cursor = 0
    while True:
        async with answered():
            cursor, found = await client.scan(cursor, match=pattern, count=_AT_ONCE)
            if found:
                await client.unlink(*found)
        if cursor == 0:
            return

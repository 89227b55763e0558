"""Tells replicas when what they remember of a tenant is out of date: a token that is another one after every change.

Tokens are all that Redis knows of flows. Losing them makes every replica read the record anew, and costs no more.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from typing import Protocol

import redis.asyncio

from flowray.stores.redis import answered
from flowray.stores.redis_keys import Keys


class Generations(Protocol):
    """One token per tenant."""

    async def current(self, tenant: str) -> str:
        """The token: as long as it stays the same, nothing has changed."""

    async def renew(self, tenant: str) -> None:
        """Say that something changes, or has changed."""


class MemoryGenerations:
    """Tokens of a process that has the record for itself."""

    def __init__(self) -> None:
        self._tokens: defaultdict[str, str] = defaultdict(_token)

    async def current(self, tenant: str) -> str:
        """See `Generations`."""
        return self._tokens[tenant]

    async def renew(self, tenant: str) -> None:
        """See `Generations`."""
        self._tokens[tenant] = _token()


class RedisGenerations:
    """Tokens that all replicas share."""

    def __init__(self, client: redis.asyncio.Redis, *, prefix: str = "flowray:") -> None:
        self._redis = client
        self._keys = Keys(prefix)

    async def current(self, tenant: str) -> str:
        """See `Generations`."""
        key = self._keys.flows(tenant)
        async with answered():
            found = await self._redis.get(key)
            if found is None:
                await self._redis.set(key, _token(), nx=True)
                found = await self._redis.get(key)
        return str(found)

    async def renew(self, tenant: str) -> None:
        """See `Generations`."""
        async with answered():
            await self._redis.set(self._keys.flows(tenant), _token())


def _token() -> str:
    return secrets.token_hex(8)

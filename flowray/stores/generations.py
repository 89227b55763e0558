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

# ARGV: the token if there is none. To it belongs the replication ID, which names one history of what Redis holds: there
# is a new one after each start and each failover. A Redis that has lost its last second holds an older token again, and
# whoever remembers that one from before would take it for word that nothing has changed since.
_CURRENT = """
local token = redis.call('GET', KEYS[1])
if not token then
  token = ARGV[1]
  redis.call('SET', KEYS[1], token)
end
return token..'/'..string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
"""


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
        self._current = client.register_script(_CURRENT)

    async def current(self, tenant: str) -> str:
        """See `Generations`."""
        async with answered():
            return str(await self._current([self._keys.flows(tenant)], [_token()]))

    async def renew(self, tenant: str) -> None:
        """See `Generations`."""
        async with answered():
            await self._redis.set(self._keys.flows(tenant), _token())


def _token() -> str:
    return secrets.token_hex(8)

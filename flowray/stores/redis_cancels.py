"""Cancellations over Redis: said at once to everybody who listens, and noted at the run for who takes it later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

import redis.asyncio

from flowray.engine.codec import dumps, loads
from flowray.engine.events import RunId
from flowray.errors import StoreUnavailableError
from flowray.stores.redis import answered
from flowray.stores.redis_keys import Keys

log = logging.getLogger(__name__)
_AGAIN_S = 0.5
_LISTEN_S = 5.0

# Noted only where a run is known, so that no hash comes to be that nothing ever removes. KEYS: the run. ARGV: reason,
# channel, message.
_ASK = """
local known, finished = unpack(redis.call('HMGET', KEYS[1], 'last', 'finished'))
if (known or redis.call('HEXISTS', KEYS[1], 'queue') == 1) and not finished then
  redis.call('HSET', KEYS[1], 'cancel', ARGV[1])
end
return redis.call('PUBLISH', ARGV[2], ARGV[3])
"""


class RedisCancels:
    """See `flowray.engine.leasing.Cancels`."""

    def __init__(self, client: redis.asyncio.Redis, *, prefix: str = "flowray:") -> None:
        self._redis = client
        self._keys = Keys(prefix)
        self._channel = f"{prefix}cancels"
        self._ask = client.register_script(_ASK)

    async def ask(self, tenant: str, run: RunId, *, reason: str) -> None:
        """See `Cancels`."""
        message = dumps([tenant, run, reason])
        async with answered():
            await self._ask([self._keys.run(tenant, run)], [reason, self._channel, message])

    async def listen(self) -> AsyncGenerator[tuple[str, RunId, str], None]:
        """See `Cancels`. While Redis is away nothing is heard, and nothing can be asked."""
        while True:
            try:
                async with aclosing(self._heard()) as heard:
                    async for asked in heard:
                        yield asked
            except StoreUnavailableError as error:
                log.warning("Cancellations not heard", extra={"action": "listen_failed", "reason": error.message})
            await asyncio.sleep(_AGAIN_S)

    async def _heard(self) -> AsyncGenerator[tuple[str, RunId, str], None]:
        ear = self._redis.pubsub(ignore_subscribe_messages=True)
        try:
            async with answered():
                await ear.subscribe(self._channel)
            while True:
                async with answered(within_s=2 * _LISTEN_S):
                    said = await ear.get_message(timeout=_LISTEN_S)
                if said is not None and isinstance(said["data"], bytes):
                    tenant, run, reason = loads(said["data"])
                    yield tenant, RunId(run), reason
        finally:
            await ear.aclose()  # type: ignore[no-untyped-call]

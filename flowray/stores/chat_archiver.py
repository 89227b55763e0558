"""Carries what was said in chats from Redis into the object store."""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from collections.abc import Callable
from typing import Final, cast

import redis.asyncio

from flowray.engine.codec import loads
from flowray.errors import FlowRayError, StoreUnavailableError
from flowray.stores.chat_segments import Chat, ChatSegments
from flowray.stores.redis import answered
from flowray.stores.redis_chats import digest_of
from flowray.stores.redis_keys import Keys

log = logging.getLogger(__name__)

_CHANGES_AT_ONCE: Final = 1_000
# Who takes a chat has it to itself for so long; after that it is somebody else's turn.
_TURN_S: Final = 60

# KEYS: the chats with something waiting. ARGV: now, until when the one is taken that waits longest.
_TAKE: Final = """
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 1)
if found[1] then redis.call('ZADD', KEYS[1], ARGV[2], found[1]) end
return found
"""
# KEYS: what waits, the chats with something waiting. ARGV: how many changes are saved, the chat, now.
_DONE: Final = """
redis.call('LTRIM', KEYS[1], ARGV[1], -1)
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
else redis.call('ZREM', KEYS[2], ARGV[2]) end
"""


class ChatArchiver:
    """Saves each chat that was spoken in. Any number of them may be at work: a chat is one's at a time."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        segments: ChatSegments,
        *,
        prefix: str = "flowray:",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = client
        self._segments = segments
        self._clock = clock
        self._keys = Keys(prefix)
        self._take = client.register_script(_TAKE)
        self._done = client.register_script(_DONE)

    async def save(self, *, limit: int = 50) -> int:
        """Save what waits longest; in how many chats. What is damaged of one keeps no other from being saved."""
        count = 0
        while count < limit and (name := await self._taken()) is not None:
            count += 1
            tenant, flow, session = loads(name)
            try:
                async with asyncio.timeout(_TURN_S / 2):
                    await self._save(tenant, (flow, session), name)
            except StoreUnavailableError:
                raise
            except (FlowRayError, TimeoutError, zlib.error, ValueError, LookupError) as cause:
                facts = {"tenant": tenant, "flow": flow, "reason": str(cause) or "It took too long."}
                log.warning("Chat not saved", extra={"action": "chat_not_saved", **facts})
        return count

    async def _taken(self) -> bytes | None:
        """One at a time: a turn that was taken for all of them could be over before the last of them begins."""
        now = self._clock()
        async with answered():
            found = cast("list[bytes]", await self._take([self._keys.unsaved], [now, now + _TURN_S]))
        return found[0] if found else None

    async def work(self, *, every_s: float = 1.0) -> None:
        """Save what waits, until cancelled."""
        while True:
            try:
                await self.save()
            except FlowRayError as error:
                log.warning("Chats not saved", extra={"action": "chats_not_saved", "reason": error.message})
            await asyncio.sleep(every_s)

    async def _save(self, tenant: str, chat: Chat, name: bytes) -> None:
        waiting = self._keys.waiting(tenant, digest_of(chat))
        async with answered():
            changes = cast("list[bytes]", await self._redis.lrange(waiting, 0, _CHANGES_AT_ONCE - 1))
        if changes:
            await self._segments.append(tenant, chat, [loads(change) for change in changes])
        async with answered():
            await self._done([waiting, self._keys.unsaved], [len(changes), name, self._clock()])

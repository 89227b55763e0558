"""Who does what only one has to do at a time; and whether Redis remembers that it was filled from the record."""

from __future__ import annotations

from typing import cast

import redis.asyncio

from flowray.stores.redis import answered


class RedisUpkeep:
    """Locks that run out by themselves, and a mark that is gone when Redis is empty."""

    def __init__(self, client: redis.asyncio.Redis, *, prefix: str = "flowray:") -> None:
        self._redis = client
        self._prefix = prefix

    async def is_filled(self) -> bool:
        """Whether this Redis was filled from the record, and has not been emptied since."""
        async with answered():
            return bool(await self._redis.exists(f"{self._prefix}filled"))

    async def note_filled(self) -> None:
        """It is now."""
        async with answered():
            await self._redis.set(f"{self._prefix}filled", "1")

    async def server(self) -> str:
        """Which process this Redis is: another name after each start, and on another server."""
        async with answered():
            return str((await self._redis.info("server"))["run_id"])

    async def mine(self, work: str, *, by: str, for_s: int) -> bool:
        """Whether this work is the caller's to do now. Who has it may ask again, and has it for as long again."""
        key = f"{self._prefix}upkeep:{work}"
        async with answered():
            if await self._redis.set(key, by, nx=True, ex=for_s):
                return True
            holder = cast("bytes | None", await self._redis.get(key))
            if holder != by.encode():
                return False
            await self._redis.expire(key, for_s)
            return True

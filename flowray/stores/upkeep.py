"""Who does what only one has to do at a time; and whether Redis holds again what was written from the record."""

from __future__ import annotations

import secrets
from typing import cast

import redis.asyncio

from flowray.stores.redis import answered

# KEYS: what says that the filling was begun, and the mark. ARGV: what that has to say.
_NOTE_FILLED = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], '1')
return 1
"""


class RedisUpkeep:
    """Locks that run out by themselves, and marks that are gone when Redis is emptied."""

    def __init__(self, client: redis.asyncio.Redis, *, prefix: str = "flowray:") -> None:
        self._redis = client
        self._prefix = prefix
        self._note_filled = client.register_script(_NOTE_FILLED)

    async def is_filled(self, what: str) -> bool:
        """Whether this was filled from the record, and Redis has not been emptied since."""
        async with answered():
            return bool(await self._redis.exists(f"{self._prefix}filled:{what}"))

    async def begin(self, what: str) -> str:
        """Begin to fill it: what `note_filled` wants to be told. All who fill it now are told the same.

        Other words after Redis was emptied, and after it was started again: it may have lost a part by then.
        """
        key = f"{self._prefix}filling:{what}"
        server = await self.server()
        async with answered():
            await self._redis.set(key, secrets.token_hex(8), nx=True)
            begun = cast("bytes | None", await self._redis.get(key))
        return f"{(begun or b'').decode()}/{server}"

    async def note_filled(self, what: str, begun: str) -> bool:
        """It is filled, unless something was lost since that was begun; whether it is."""
        token, _, server = begun.partition("/")
        if server != await self.server():
            return False
        keys = [f"{self._prefix}filling:{what}", f"{self._prefix}filled:{what}"]
        async with answered():
            return bool(await self._note_filled(keys, [token]))

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

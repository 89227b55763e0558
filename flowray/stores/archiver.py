"""Carries finished journals from Redis into the archive."""

from __future__ import annotations

import asyncio
import logging
from typing import cast

import redis.asyncio

from flowray.engine.codec import dumps, loads
from flowray.engine.events import RunId
from flowray.errors import StoreUnavailableError
from flowray.stores.archive import Archive
from flowray.stores.redis import answered, batches
from flowray.stores.redis_keys import Keys

log = logging.getLogger(__name__)


class Archiver:
    """Archived journals stay in Redis for `keep_s` more, for those who look at a run that has just ended.

    Two of them at work do no harm: the same journal is written twice.
    """

    def __init__(
        self, client: redis.asyncio.Redis, archive: Archive, *, prefix: str = "flowray:", keep_s: int = 600
    ) -> None:
        self._redis = client
        self._archive = archive
        self._keys = Keys(prefix)
        self._keep_s = keep_s

    async def archive(self, *, limit: int = 200) -> int:
        """Archive what finished first; how many."""
        async with answered():
            members = await self._redis.zrange(self._keys.finished, 0, limit - 1)
        for member in cast("list[bytes]", members):
            tenant, run = member.decode().split("/")
            await self._archive_one(tenant, RunId(run))
        return len(members)

    async def work(self, *, every_s: float = 1.0) -> None:
        """Archive what is finished, until cancelled."""
        while True:
            try:
                pause_s = 0.0 if await self.archive() else every_s
            except StoreUnavailableError as error:
                log.warning("Journals not archived", extra={"action": "archive_failed", "reason": error.message})
                pause_s = every_s
            await asyncio.sleep(pause_s)

    async def _archive_one(self, tenant: str, run: RunId) -> None:
        stream = self._keys.journal(tenant, run)
        if found := await batches(self._redis, stream):
            await self._archive.keep(tenant, run, [dumps(event) for batch in found for event in loads(batch)])
        async with answered(), self._redis.pipeline(transaction=True) as pipe:
            pipe.expire(stream, self._keep_s)
            pipe.zrem(self._keys.finished, f"{tenant}/{run}")
            await pipe.execute()

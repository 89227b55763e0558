"""Carries finished journals from Redis into the archive: those that nobody else has seen to."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

import redis.asyncio

from flowray.engine.codec import decode
from flowray.engine.events import RunFinished
from flowray.errors import FlowRayError
from flowray.stores.archive import Archive
from flowray.stores.fresh_ends import AfterRun, followed_up
from flowray.stores.redis import answered
from flowray.stores.redis_ends import RedisEnds, Run
from flowray.stores.redis_keys import Keys

log = logging.getLogger(__name__)


class Archiver:
    """Sees to runs that ended `left_s` seconds ago and are still there: whoever drove them is gone (see `FreshEnds`).

    Archived journals stay in Redis for `keep_s` more. Two of these at work do no harm: the same journal is written
    twice. `after` is called for each queued run once its journal is archived, and again if something fails before the
    run is released.
    """

    def __init__(  # noqa: PLR0913 - each is used on its own
        self,
        client: redis.asyncio.Redis,
        archive: Archive,
        *,
        after: AfterRun | None = None,
        prefix: str = "flowray:",
        keep_s: int = 60,
        left_s: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = client
        self._archive = archive
        self._keys = Keys(prefix)
        self._ends = RedisEnds(client, prefix=prefix, keep_s=keep_s)
        self._after = after
        self._left_s = left_s
        self._clock = clock

    async def archive(self, *, limit: int = 50) -> int:
        """Archive what finished first; how many."""
        runs = await self._ends.waiting(limit=limit, before=self._clock() - self._left_s)
        if runs:
            for (tenant, run), lines in zip(runs, await self._journals(runs), strict=True):
                if lines:
                    await self._archive.keep(tenant, run, lines)
            await self._follow_up(runs)
            await self._ends.release(runs)
        return len(runs)

    async def work(self, *, every_s: float = 1.0) -> None:
        """Archive what is finished, until cancelled, and rest twice as long as that takes: runs come first."""
        while True:
            began = time.monotonic()
            try:
                pause_s = 0.0 if await self.archive() else every_s
            except FlowRayError as error:
                log.warning("Journals not archived", extra={"action": "archive_failed", "reason": error.message})
                pause_s = every_s
            await asyncio.sleep(pause_s or 2 * (time.monotonic() - began))

    async def _journals(self, runs: Sequence[Run]) -> list[list[bytes]]:
        async with answered(), self._redis.pipeline(transaction=False) as pipe:
            for tenant, run in runs:
                pipe.xrange(self._keys.journal(tenant, run))
            streams = await pipe.execute()
        return [[fields[b"events"] for _, fields in entries] for entries in streams]

    async def _follow_up(self, runs: Sequence[Run]) -> None:
        """Do what follows from the end of those that were queued."""
        after = self._after
        if after is None:
            return
        async with answered(), self._redis.pipeline(transaction=False) as pipe:
            for tenant, run in runs:
                pipe.hmget(self._keys.run(tenant, run), ["queued", "finished"])
            known = await pipe.execute()
        for (tenant, run), (queued, finished) in zip(runs, known, strict=True):
            if queued is None or finished is None:
                continue
            event = decode(finished).event
            if isinstance(event, RunFinished):
                await followed_up(after, tenant, run, event)

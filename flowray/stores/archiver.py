"""Carries finished journals from Redis into the archive: those that nobody else has seen to."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

import redis.asyncio

from flowray.engine.codec import decode
from flowray.engine.events import RunFinished
from flowray.errors import FlowRayError, StoreUnavailableError
from flowray.stores.archive import Archive
from flowray.stores.fresh_ends import AfterRun, followed_up
from flowray.stores.redis import answered
from flowray.stores.redis_ends import RedisEnds, Run
from flowray.stores.redis_keys import Keys

log = logging.getLogger(__name__)

_BROKEN_AGAIN_S = 60.0


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
        if not runs:
            return 0
        found = zip(runs, await self._journals(runs), await self._queued_ends(runs), strict=True)
        seen_to = [run for run, lines, end in found if await self._see_to(run, lines, end)]
        await self._ends.release(seen_to)
        await self._ends.put_off([run for run in runs if run not in seen_to], until=self._clock() + _BROKEN_AGAIN_S)
        return len(seen_to)

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

    async def _see_to(self, key: Run, lines: Sequence[bytes], end: bytes | None) -> bool:
        """Archive one, and do what follows; whether that went well. What breaks on one holds up no other."""
        tenant, run = key
        try:
            if lines:
                await self._archive.keep(tenant, run, lines)
            event = decode(end).event if end is not None else None
            if self._after is not None and isinstance(event, RunFinished):
                await followed_up(self._after, tenant, run, event)
        except StoreUnavailableError:
            raise
        except Exception:
            log.exception("End not recorded", extra={"action": "end_broken", "tenant": tenant, "run": run})
            return False
        return True

    async def _queued_ends(self, runs: Sequence[Run]) -> list[bytes | None]:
        """How those ended that were queued, as it is written."""
        async with answered(), self._redis.pipeline(transaction=False) as pipe:
            for tenant, run in runs:
                pipe.hmget(self._keys.run(tenant, run), ["queued", "finished"])
            known = await pipe.execute()
        return [None if queued is None else finished for queued, finished in known]

"""Carries finished journals from Redis into the archive."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import redis.asyncio

from flowray.engine.codec import decode
from flowray.engine.events import RunFinished, RunId
from flowray.errors import FlowRayError, StoreUnavailableError
from flowray.stores.archive import Archive
from flowray.stores.redis import answered
from flowray.stores.redis_keys import Keys

log = logging.getLogger(__name__)

AfterRun = Callable[[str, RunId, RunFinished], Awaitable[None]]


class Archiver:
    """Archived journals stay in Redis for `keep_s` more, for those who look at a run that has just ended.

    Two of them at work do no harm: the same journal is written twice. `after` is called for each queued run once its
    journal is archived, and again if something fails before the run is released.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        archive: Archive,
        *,
        after: AfterRun | None = None,
        prefix: str = "flowray:",
        keep_s: int = 600,
    ) -> None:
        self._redis = client
        self._archive = archive
        self._keys = Keys(prefix)
        self._keep_s = keep_s
        self._after = after

    async def archive(self, *, limit: int = 50) -> int:
        """Archive what finished first; how many."""
        async with answered():
            found = await self._redis.zrange(self._keys.finished, 0, limit - 1)
        members = [member.decode() for member in cast("list[bytes]", found)]
        if members:
            runs = [(tenant, RunId(run)) for tenant, run in (member.split("/") for member in members)]
            journals = await self._journals(runs)
            for (tenant, run), lines in zip(runs, journals, strict=True):
                if lines:
                    await self._archive.keep(tenant, run, lines)
            await self._follow_up(runs)
            await self._release(runs, members)
        return len(members)

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

    async def _journals(self, runs: Sequence[tuple[str, RunId]]) -> list[list[bytes]]:
        async with answered(), self._redis.pipeline(transaction=False) as pipe:
            for tenant, run in runs:
                pipe.xrange(self._keys.journal(tenant, run))
            streams = await pipe.execute()
        return [[fields[b"events"] for _, fields in entries] for entries in streams]

    async def _follow_up(self, runs: Sequence[tuple[str, RunId]]) -> None:
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
                await _followed_up(after, tenant, run, event)

    async def _release(self, runs: Sequence[tuple[str, RunId]], members: Sequence[str]) -> None:
        async with answered(), self._redis.pipeline(transaction=True) as pipe:
            for tenant, run in runs:
                pipe.expire(self._keys.journal(tenant, run), self._keep_s)
            pipe.zrem(self._keys.finished, *members)
            await pipe.execute()


async def _followed_up(after: AfterRun, tenant: str, run: RunId, event: RunFinished) -> None:
    """A run that cannot be read must not hold up all those behind it; a store that is away may."""
    try:
        await after(tenant, run, event)
    except StoreUnavailableError:
        raise
    except FlowRayError as error:
        facts = {"tenant": tenant, "run": run, "reason": error.message}
        log.error("Nothing followed a run's end", extra={"action": "follow_up_failed", **facts})  # noqa: TRY400

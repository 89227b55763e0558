"""Runs that ended in this process: put on record from memory, followed up, and held until Redis is sure of them.

Redis may forget what it answered in its last second or two. Whoever drove a run still has its journal then, and writes
it again; so a caller who has an answer finds it in the record.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from flowray.engine.codec import encode
from flowray.engine.events import RunFinished, RunId
from flowray.engine.ports import Journal
from flowray.errors import ConflictError, FlowRayError, StoreUnavailableError
from flowray.stores.archive import Archive
from flowray.stores.ended import Ended
from flowray.stores.redis_ends import Known, RedisEnds

log = logging.getLogger(__name__)

AfterRun = Callable[[str, RunId, RunFinished], Awaitable[None]]
_Key = tuple[str, RunId]
# Longer than what a Redis that writes its log each second may lose.
_SURE_AFTER_S = 3.0
_EVERY_S = 0.2
_AT_ONCE = 128
# What is held beyond this is left to the archiver, who reads it from Redis.
_MOST_HELD = 10_000


class FreshEnds:
    """See `flowray.stores.ended.Ends`. `after` is called for each queued run once its journal is on record."""

    def __init__(
        self,
        ends: RedisEnds,
        journal: Journal,
        archive: Archive,
        *,
        after: AfterRun | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ends = ends
        self._journal = journal
        self._archive = archive
        self._after = after
        self._clock = clock
        self._fresh: dict[_Key, Ended] = {}
        self._recorded: dict[_Key, tuple[float, Ended]] = {}

    def hold(self, ended: Ended) -> None:
        """See `Ends`."""
        self._fresh[ended.tenant, ended.run] = ended
        if len(self._fresh) > _MOST_HELD:
            del self._fresh[next(iter(self._fresh))]

    async def work(self) -> None:
        """Look after them until cancelled, and rest twice as long as that takes: runs come first."""
        while True:
            began = self._clock()
            try:
                await self.record()
                await self.release()
            except FlowRayError as error:
                log.warning("Ends not recorded", extra={"action": "ends_failed", "reason": error.message})
            await asyncio.sleep(max(_EVERY_S, 2 * (self._clock() - began)))

    async def record(self) -> int:
        """Put on record what has ended, and do what follows; how many runs."""
        ended = list(itertools.islice(self._fresh.items(), _AT_ONCE))
        outcomes = await asyncio.gather(*(self._record(one) for _, one in ended), return_exceptions=True)
        sure_at = self._clock() + _SURE_AFTER_S
        failures: list[FlowRayError] = []
        for (key, one), outcome in zip(ended, outcomes, strict=True):
            if isinstance(outcome, FlowRayError):
                failures.append(outcome)
                continue
            if outcome is not None:
                facts = {"tenant": one.tenant, "run": one.run}
                log.error("End not recorded", exc_info=outcome, extra={"action": "end_broken", **facts})
            if self._fresh.get(key) is one:
                del self._fresh[key]
                if outcome is None:  # what broke may be on no record: not released, it is found by the archiver
                    self._recorded[key] = (sure_at, one)
        if failures:
            raise failures[0]
        return len(ended)

    async def release(self) -> int:
        """Let go of those that Redis can no longer forget, and tell it once more what it has forgotten; how many."""
        now = self._clock()
        due = [(key, one) for key, (sure_at, one) in self._recorded.items() if sure_at <= now][:_AT_ONCE]
        if not due:
            return 0
        keys = [key for key, _ in due]
        for (_, one), known in zip(due, await self._ends.known(keys), strict=True):
            await self._tell_again(one, known)
        await self._ends.release(keys)
        for key in keys:
            del self._recorded[key]
        return len(due)

    async def _record(self, one: Ended) -> None:
        if one.is_archived:
            await self._archive.count(one.tenant, one.run, one.recorded)
        else:
            await self._archive.keep_all(one.tenant, one.run, one.recorded)
        if one.is_queued and self._after is not None and one.end is not None:
            await followed_up(self._after, one.tenant, one.run, one.end)

    async def _tell_again(self, one: Ended, known: Known) -> None:
        facts = {"tenant": one.tenant, "run": one.run}
        if not known.is_counted:  # what it has used was forgotten as well, or that alone: it came after the end
            await self._archive.count(one.tenant, one.run, one.recorded)
        if known.end is None:
            log.warning("The end of a run was forgotten", extra={"action": "run_end_restored", **facts})
            with suppress(ConflictError):  # it is an engine's again, who finds its end on record
                await self._journal.append(one.tenant, one.recorded[known.last :])
        elif not one.is_queued and known.end != encode(one.recorded[-1]):
            # It was forgotten, and this process was silent for so long that others took the run for lost.
            log.warning("A run had ended otherwise", extra={"action": "run_end_overruled", **facts})
            await self._ends.overrule(one.tenant, one.run, one.recorded[-1])


async def followed_up(after: AfterRun, tenant: str, run: RunId, event: RunFinished) -> None:
    """Do what follows. A run that cannot be read must not hold up those behind it; a store that is away may."""
    try:
        await after(tenant, run, event)
    except StoreUnavailableError:
        raise
    except FlowRayError as error:
        facts = {"tenant": tenant, "run": run, "reason": error.message}
        log.error("Nothing followed a run's end", extra={"action": "follow_up_failed", **facts})  # noqa: TRY400

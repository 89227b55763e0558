"""Finds accepted runs again that Redis has forgotten: all of them when it was emptied, the last ones after a crash.

The record says what was accepted and is not over; whatever of it the queue does not know is queued again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from flowray.engine.events import RunFinished, RunId
from flowray.engine.leasing import Queue
from flowray.errors import FlowRayError
from flowray.stores.archive import Archive
from flowray.stores.redis_queue import SURE_AFTER_S
from flowray.stores.requests import Requests
from flowray_serve.queueing.acceptance import Acceptance
from flowray_serve.queueing.endings import Endings
from flowray_serve.queueing.one_of_many import one_of_many
from flowray_serve.queueing.owing import Owing
from flowray_serve.queueing.refilling import Marks
from flowray_serve.queueing.turn import HELD_S, kept

log = logging.getLogger(__name__)

_RUNS = "runs"


class Upkeep(Marks, Protocol):
    """See `flowray.stores.upkeep.RedisUpkeep`."""

    async def server(self) -> str:
        """Which process Redis is: another name after each start."""


class Runs(Protocol):
    """The list of runs."""

    async def rebuild(self) -> int:
        """List the archived runs again."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a recovery did: so many runs queued again, ended ones closed, callbacks due again, runs listed again."""

    queued: int = 0
    closed: int = 0
    callbacks: int = 0
    listed: int = 0


@dataclass(frozen=True, kw_only=True)
class Watch:
    """How a recovery watches: it looks at the mark every `look_s`, and at the whole record every `whole_s`.

    It looks at the record as well `young_s` after Redis was started again: what it had last heard may be lost.
    Before it queues what an emptied Redis has forgotten, it lets living engines claim theirs for `settle_s`. A run is
    not looked at in its first `young_s`: it may be on its way into the queue.
    """

    look_s: float = 1.0
    whole_s: float = 300.0
    settle_s: float = 5.0
    young_s: float = SURE_AFTER_S


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the object store says of background runs: accepted ones, finished ones, and the callbacks owed."""

    requests: Requests
    archive: Archive
    owing: Owing


class Recovery:
    """Brings Redis up to the record."""

    def __init__(  # noqa: PLR0913 - each is used on its own
        self,
        queue: Queue,
        record: Record,
        acceptance: Acceptance,
        endings: Endings,
        runs: Runs,
        upkeep: Upkeep,
        *,
        name: str,
        watch: Watch | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._queue = queue
        self._record = record
        self._acceptance = acceptance
        self._endings = endings
        self._runs = runs
        self._upkeep = upkeep
        self._name = name
        self._watch = watch or Watch()
        self._clock = clock

    async def work(self) -> None:
        """Look, until cancelled."""
        loop = asyncio.get_running_loop()
        due = sure_at = loop.time()
        server, restarted = "", False
        while True:
            try:
                before, server = server, await self._upkeep.server()
                if before != server:
                    due = sure_at = loop.time() + self._watch.young_s
                    restarted = restarted or before != ""
                is_due, is_sure = loop.time() >= due, loop.time() >= sure_at
                is_wanted = is_due or (is_sure and not await self._upkeep.is_filled(_RUNS))
                if is_wanted and await self._upkeep.mine("recovery", by=self._name, for_s=HELD_S):
                    async with kept(self._upkeep, "recovery", by=self._name):
                        await self.recover(restarted=restarted)
                    restarted = False
                    due = loop.time() + self._watch.whole_s
                elif is_due:  # another one does it; what a restart has lost is not left to it alone
                    due = loop.time() + (HELD_S if restarted else self._watch.whole_s)
            except FlowRayError as error:
                log.warning("Nothing recovered", extra={"action": "recovery_failed", "reason": error.message})
            await asyncio.sleep(self._watch.look_s)

    async def recover(self, *, restarted: bool = False) -> Found:
        """Queue what is not over and unknown; an emptied Redis is marked as filled then.

        Of a Redis that was `restarted`, parked runs as well that it remembers as they were before their answers.
        `StoreForgotError` when Redis has lost something meanwhile: nothing is known then of who has which run.
        """
        before = self._clock()
        begun = await self._upkeep.begin(_RUNS)
        is_filled = await self._upkeep.is_filled(_RUNS)  # asked after that: what is filled now is so since it was begun
        if is_filled:
            before -= self._watch.young_s
        else:
            log.warning("Redis is empty; it is filled from the record", extra={"action": "redis_empty"})
            await asyncio.sleep(self._watch.settle_s)
        found, tenants = await self._open_runs(before, begun)
        reminded = [await self._acceptance.remind(tenant) for tenant in tenants] if restarted else []
        found = replace(found, queued=found.queued + sum(reminded), callbacks=await self._record.owing.refill())
        if not is_filled:
            await self._upkeep.note_filled(_RUNS, begun)
        log.info("Recovered", extra={"action": "recovered", "queued": found.queued, "closed": found.closed})
        return found

    async def reindex(self) -> Found:
        """Do all of it at once, with the list of runs."""
        found = await self.recover()
        return replace(found, listed=await self._runs.rebuild())

    async def _open_runs(self, before: float, begun: str) -> tuple[Found, frozenset[str]]:
        queued = closed = 0
        tenants: set[str] = set()
        async for tenant, run, at in self._record.requests.open():
            tenants.add(tenant)
            if at > before:
                continue
            with one_of_many("Run not recovered", tenant=tenant, run=run):
                if await self._record.archive.has(tenant, run):
                    closed += await self._close(tenant, run)
                elif not await self._queue.knows(tenant, run, begun=begun):
                    queued += await self._queue_again(tenant, run, at, begun)
        return Found(queued=queued, closed=closed), frozenset(tenants)

    async def _queue_again(self, tenant: str, run: RunId, at: float, begun: str) -> bool:
        """Its journal first: who takes a run without one begins it anew."""
        await self._acceptance.reopen(tenant, run)
        queued = await self._queue.recover(tenant, run, at=at, begun=begun)
        if queued:
            log.warning("Run found again", extra={"action": "run_recovered", "tenant": tenant, "run": run})
        return queued

    async def _close(self, tenant: str, run: RunId) -> bool:
        recorded = await self._record.archive.find(tenant, run) or ()
        last = recorded[-1].event if recorded else None
        if isinstance(last, RunFinished):
            await self._endings(tenant, run, last)
        return isinstance(last, RunFinished)

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
    young_s: float = 10.0


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
        due, server, restarted = loop.time(), "", False
        while True:
            try:
                before, server = server, await self._upkeep.server()
                if before not in ("", server):
                    due, restarted = min(due, loop.time() + self._watch.young_s), True
                is_filled = await self._upkeep.is_filled(_RUNS)
                is_time = loop.time() >= due
                if (is_time or not is_filled) and await self._upkeep.mine("recovery", by=self._name, for_s=HELD_S):
                    async with kept(self._upkeep, "recovery", by=self._name):
                        await self._recover(is_filled=is_filled, restarted=restarted)
                    restarted = False
                    due = loop.time() + self._watch.whole_s
                elif is_time:  # another one does it; what a restart has lost is not left to it alone, it may die
                    due = loop.time() + (HELD_S if restarted else self._watch.whole_s)
            except FlowRayError as error:
                log.warning("Nothing recovered", extra={"action": "recovery_failed", "reason": error.message})
            await asyncio.sleep(self._watch.look_s)

    async def _recover(self, *, is_filled: bool, restarted: bool = False) -> None:
        begun = ""
        if not is_filled:
            log.warning("Redis is empty; it is filled from the record", extra={"action": "redis_empty"})
            begun = await self._upkeep.begin(_RUNS)
            await asyncio.sleep(self._watch.settle_s)
        found = await self.recover(everything=not is_filled, restarted=restarted)
        if not is_filled:
            await self._upkeep.note_filled(_RUNS, begun)
        log.info("Recovered", extra={"action": "recovered", "queued": found.queued, "closed": found.closed})

    async def recover(self, *, everything: bool = True, restarted: bool = False) -> Found:
        """Queue what is not over and unknown; with `everything`, bring its journals back as well.

        Of a Redis that was `restarted`, parked runs as well that it remembers as they were before their answers.
        """
        queued, closed, tenants = await self._open_runs(everything=everything)
        for tenant in tenants if restarted else ():
            queued += await self._acceptance.remind(tenant)
        callbacks = await self._record.owing.refill()
        return Found(queued=queued, closed=closed, callbacks=callbacks)

    async def reindex(self) -> Found:
        """Do all of it at once, with the list of runs."""
        found = await self.recover()
        return replace(found, listed=await self._runs.rebuild())

    async def _open_runs(self, *, everything: bool) -> tuple[int, int, frozenset[str]]:
        before = self._clock() - (0.0 if everything else self._watch.young_s)
        queued = closed = 0
        tenants: set[str] = set()
        async for tenant, run, at in self._record.requests.open():
            tenants.add(tenant)
            if at > before:
                continue
            with one_of_many("Run not recovered", tenant=tenant, run=run):
                if await self._record.archive.has(tenant, run):
                    closed += await self._close(tenant, run)
                else:
                    queued += await self._queue_again(tenant, run, at, everything=everything)
        return queued, closed, frozenset(tenants)

    async def _queue_again(self, tenant: str, run: RunId, at: float, *, everything: bool) -> bool:
        if everything:
            await self._acceptance.reopen(tenant, run)
        queued = await self._queue.recover(tenant, run, at=at)
        if queued:
            log.warning("Run found again", extra={"action": "run_recovered", "tenant": tenant, "run": run})
        return queued

    async def _close(self, tenant: str, run: RunId) -> bool:
        recorded = await self._record.archive.find(tenant, run) or ()
        last = recorded[-1].event if recorded else None
        if isinstance(last, RunFinished):
            await self._endings(tenant, run, last)
        return isinstance(last, RunFinished)

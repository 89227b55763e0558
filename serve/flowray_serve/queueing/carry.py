"""One leased run, carried on from its journal to its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from flowray.engine.commands import FinishRun
from flowray.engine.events import Event, Recorded, RunFinished, RunPaused
from flowray.engine.hold import Hold, RunLeftError
from flowray.engine.leasing import Lease, Queue
from flowray.engine.ports import Journal, RunRequest
from flowray.errors import ConflictError
from flowray.stores.archive import Archive
from flowray.stores.requests import BrokenRequestError, Requests
from flowray_serve.queueing.held import Held
from flowray_serve.queueing.recall import Recall, read_all
from flowray_serve.queueing.waiting import let_wait

log = logging.getLogger(__name__)


class LeasedEngine(Protocol):
    """Drives a run that is leased."""

    async def drive(self, request: RunRequest, recorded: Sequence[Recorded], *, hold: Hold) -> Event | None:
        """To its end or pause; its last event."""

    async def end(self, request: RunRequest, recorded: Sequence[Recorded], verdict: FinishRun, *, hold: Hold) -> None:
        """At once."""


class Carrier:
    """Finds a run's request and journal, and lets the engine go on.

    A run that was taken too often ends as failed, and so does one whose request cannot be read: what ends an engine
    each time it is driven would else go round for ever.
    """

    def __init__(  # noqa: PLR0913 - each is used on its own
        self,
        queue: Queue,
        requests: Requests,
        journal: Journal,
        engine: LeasedEngine,
        archive: Archive,
        *,
        most_takes: int = 5,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._archive = archive
        self._queue = queue
        self._requests = requests
        self._journal = journal
        self._engine = engine
        self._most_takes = most_takes
        self._clock = clock
        self._recall = Recall(queue, requests, journal)

    async def __call__(self, held: Held) -> None:
        """Carry it on; the lease is over when this returns, unless it was lost."""
        lease = held.lease
        try:
            accepted = await self._requests.find(lease.tenant, lease.run)
        except BrokenRequestError as broken:
            await self._end_unread(lease, broken)
            return
        recorded = await self._recall.read(lease)
        if accepted is None:
            log.error("No request", extra={"action": "request_missing", "tenant": lease.tenant, "run": lease.run})
            await self._queue.done(lease)
            return
        if recorded and isinstance(recorded[-1].event, RunFinished):
            await self._archive.keep_all(lease.tenant, lease.run, recorded)
            await self._queue.done(lease)
            return
        if (kept := await self._archive.find(lease.tenant, lease.run)) is not None:
            await self._catch_up(lease, recorded, kept)
            return
        try:
            last = await self._go_on(held, accepted.request, recorded)
        except RunLeftError:
            await self._queue.give_back(lease)
            return
        except asyncio.CancelledError:
            if not held.hold.abandoned:
                await self._let_be(lease, None)
            raise
        await self._let_be(lease, last)

    async def _let_be(self, lease: Lease, last: Event | None) -> None:
        """Part with a run that is over or waits; its journal says which, where its last event is not known.

        Who stops a run may meet it just as it pauses: then it waits, and is not over.
        """
        if isinstance(last, RunFinished):
            await self._queue.done(lease)
            return
        recorded = await read_all(self._journal, lease.tenant, lease.run)
        match recorded[-1].event if recorded else None:
            case RunFinished():
                await self._queue.done(lease)
            case RunPaused():
                await let_wait(self._queue, self._requests, lease, recorded)
            case _:
                await self._queue.give_back(lease)

    async def _end_unread(self, lease: Lease, broken: BrokenRequestError) -> None:
        """Nobody can drive it, now or later; an end that is there already stays."""
        recorded = await self._recall.read(lease)
        verdict = FinishRun(status="failed", error=broken.message).as_event()
        end = Recorded(seq=len(recorded) + 1, at=self._clock(), run=lease.run, event=verdict)
        facts = {"tenant": lease.tenant, "run": lease.run, "reason": broken.message}
        log.error("Request broken", extra={"action": "request_broken", **facts})
        with suppress(ConflictError):
            await self._journal.append(lease.tenant, [end], lease=lease.number)
        await self._queue.done(lease)

    async def _catch_up(self, lease: Lease, recorded: Sequence[Recorded], kept: Sequence[Recorded]) -> None:
        """It is over, and the journal has forgotten that: it is told what the record says."""
        facts = {"tenant": lease.tenant, "run": lease.run}
        log.warning("The end of a run was forgotten", extra={"action": "run_end_restored", **facts})
        with suppress(ConflictError):
            await self._journal.append(lease.tenant, kept[len(recorded) :], lease=lease.number)
        await self._queue.done(lease)

    async def _go_on(self, held: Held, request: RunRequest, recorded: Sequence[Recorded]) -> Event | None:
        lease = held.lease
        if held.reason:
            await self._engine.end(request, recorded, cancelled(held.reason), hold=held.hold)
        elif lease.takes > self._most_takes:
            error = f"{lease.takes - 1} engines were lost while they drove this run; it is not tried again."
            verdict = FinishRun(status="failed", kind="lost", error=error)
            await self._engine.end(request, recorded, verdict, hold=held.hold)
        else:
            held.driving = True
            try:
                return await self._engine.drive(request, recorded, hold=held.hold)
            finally:
                held.driving = False
        return None


def cancelled(reason: str) -> FinishRun:
    """The verdict on a run that was stopped before its turn."""
    return FinishRun(status="cancelled", kind="cancelled", error=reason)

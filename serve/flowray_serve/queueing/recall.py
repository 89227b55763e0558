"""What the record has of a run's journal and Redis has lost: a confirmed answer is on both before it is confirmed."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from flowray.engine.events import Recorded, RunId, RunPaused
from flowray.engine.leasing import Lease, Queue
from flowray.engine.ports import Journal
from flowray.errors import NotFoundError
from flowray.stores.requests import Requests

log = logging.getLogger(__name__)

_CLAIM_S = 10.0


class Recall:
    """Reads journals of runs that have waited. `name` is whose claim it is while one is brought up to the record."""

    def __init__(self, queue: Queue, requests: Requests, journal: Journal, *, name: str = "recall") -> None:
        self._queue = queue
        self._requests = requests
        self._journal = journal
        self._name = name

    async def read(self, lease: Lease) -> list[Recorded]:
        """A leased run's events; those that were lost since it waited are written once more."""
        recorded = await read_all(self._journal, lease.tenant, lease.run)
        if len(recorded) == 1:  # nobody has begun it, so it has not waited
            return recorded
        lost = await self.lost(lease.tenant, lease.run, recorded)
        if lost:
            facts = {"tenant": lease.tenant, "run": lease.run, "events": len(lost)}
            log.warning("Lost events written again", extra={"action": "journal_recalled", **facts})
            await self._journal.append(lease.tenant, lost, lease=lease.number)
        return [*recorded, *lost]

    async def lost(self, tenant: str, run: RunId, recorded: Sequence[Recorded]) -> Sequence[Recorded]:
        """The events that are on record and follow on the last of these, or all where the store has none left."""
        kept = await self._requests.journal(tenant, run)
        there = len(recorded)
        follows = len(kept) > there and (there == 0 or kept[there - 1] == recorded[-1])
        return kept[there:] if follows else ()

    async def remind(self, tenant: str, run: RunId) -> bool:
        """Let a parked run go on whose journal has lost what it goes on with; whether it was so."""
        if not await self.lost(tenant, run, await read_all(self._journal, tenant, run)):
            return False
        lease = await self._queue.claim(tenant, run, holder=self._name, for_s=_CLAIM_S)
        if lease is None:
            return False  # an engine has it, and reads it whole
        recorded = await self.read(lease)
        last = recorded[-1].event
        if isinstance(last, RunPaused):
            await self._queue.park(lease, until=last.until)
        else:
            await self._queue.give_back(lease)
        return True


async def read_all(journal: Journal, tenant: str, run: RunId) -> list[Recorded]:
    """A run's events so far; none when nothing was ever written."""
    try:
        return [one async for one in journal.read(tenant, run)]
    except NotFoundError:
        return []

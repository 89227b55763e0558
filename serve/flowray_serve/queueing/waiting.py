"""How a run is left to wait, for a person or for a time: no process has it in hand from here on."""

from __future__ import annotations

from collections.abc import Sequence

from flowray.engine.events import Recorded, RunPaused
from flowray.engine.leasing import Lease, Queue
from flowray.stores.requests import Requests


async def let_wait(queue: Queue, requests: Requests, lease: Lease, recorded: Sequence[Recorded]) -> None:
    """Park a leased run; its journal goes on record first, where it is found again when Redis is lost."""
    last = recorded[-1].event if recorded else None
    await requests.keep_journal(lease.tenant, lease.run, recorded)
    await queue.park(lease, until=last.until if isinstance(last, RunPaused) else None)

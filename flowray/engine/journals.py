"""A journal as an engine holds it: under a lease, and with patience for a store that is away for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from flowray.engine.events import Recorded, RunId
from flowray.engine.ports import Journal
from flowray.errors import StoreUnavailableError

_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0)


class LeasedJournal:
    """See `Journal`: every append carries the number of a lease."""

    def __init__(self, journal: Journal, lease: int) -> None:
        self._journal = journal
        self._lease = lease

    async def append(self, tenant: str, events: Sequence[Recorded], *, lease: int = 0) -> None:
        """See `Journal`."""
        await self._journal.append(tenant, events, lease=lease or self._lease)

    def read(self, tenant: str, run: RunId, *, after: int = 0, follow: bool = False) -> AsyncIterator[Recorded]:
        """See `Journal`."""
        return self._journal.read(tenant, run, after=after, follow=follow)


class PatientJournal:
    """See `Journal`: an append waits for a store that is away, `patience_s` at most, so a restart fails no run."""

    def __init__(self, journal: Journal, *, patience_s: float = 20.0) -> None:
        self._journal = journal
        self._patience_s = patience_s

    async def append(self, tenant: str, events: Sequence[Recorded], *, lease: int = 0) -> None:
        """See `Journal`. The same events twice do no harm, so an append whose answer was lost is sent again."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience_s
        pauses = iter(_PAUSES_S)
        while True:
            try:
                return await self._journal.append(tenant, events, lease=lease)
            except StoreUnavailableError:
                if loop.time() >= until:
                    raise
            await asyncio.sleep(next(pauses, _PAUSES_S[-1]))

    def read(self, tenant: str, run: RunId, *, after: int = 0, follow: bool = False) -> AsyncIterator[Recorded]:
        """See `Journal`."""
        return self._journal.read(tenant, run, after=after, follow=follow)

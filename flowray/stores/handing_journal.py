"""A journal that hands over the runs that end in it, so that what their callers were told is what the record says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from flowray.engine.events import Recorded, RunFinished, RunId
from flowray.engine.ports import Journal
from flowray.errors import StoreUnavailableError
from flowray.stores.ended import Ended, Ends
from flowray.stores.written import Written, is_whole


class HandingJournal:
    """See `Journal`. `ends` gets a run whose end could not be written as well: the store takes it when it is back."""

    def __init__(self, journal: Journal, ends: Ends) -> None:
        self._journal = journal
        self._ends = ends
        self._written = Written()

    async def append(self, tenant: str, events: Sequence[Recorded], *, lease: int = 0) -> None:
        """See `Journal`."""
        if not events:
            return
        try:
            await self._journal.append(tenant, events, lease=lease)
        except StoreUnavailableError:
            if isinstance(events[-1].event, RunFinished):
                self._hand_over(tenant, events, lease)
            raise
        self._hand_over(tenant, events, lease)

    def read(self, tenant: str, run: RunId, *, after: int = 0, follow: bool = False) -> AsyncIterator[Recorded]:
        """See `Journal`."""
        return self._journal.read(tenant, run, after=after, follow=follow)

    def _hand_over(self, tenant: str, events: Sequence[Recorded], lease: int) -> None:
        known = self._written.add(tenant, events)
        if is_whole(known):  # else the archiver reads it from where it is
            self._ends.hold(Ended(tenant=tenant, recorded=known, is_queued=lease != 0))

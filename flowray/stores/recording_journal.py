"""A journal whose runs are over only once the archive has them: what Redis forgets a moment later is on record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from flowray.engine.events import Recorded, RunFinished, RunId
from flowray.engine.ports import Journal
from flowray.stores.archive import Archive
from flowray.stores.ended import Ended, Ends
from flowray.stores.written import Written, is_whole


class RecordingJournal:
    """See `Journal`. An append that ends a run returns once the whole journal is archived; `ends` does what follows.

    Without this, a run that ended just before Redis was emptied would be found among the accepted ones and run again.
    """

    def __init__(self, journal: Journal, archive: Archive, ends: Ends | None = None) -> None:
        self._journal = journal
        self._archive = archive
        self._ends = ends
        self._written = Written()

    async def append(self, tenant: str, events: Sequence[Recorded], *, lease: int = 0) -> None:
        """See `Journal`."""
        await self._journal.append(tenant, events, lease=lease)
        if not events:
            return
        known = self._written.add(tenant, events)
        if not isinstance(events[-1].event, RunFinished):
            return
        run = events[0].run
        whole = known if is_whole(known) else [one async for one in self._journal.read(tenant, run)]
        await self._archive.keep_all(tenant, run, whole)
        if self._ends is not None:
            self._ends.hold(Ended(tenant=tenant, recorded=whole, is_queued=lease != 0, is_archived=True))

    def read(self, tenant: str, run: RunId, *, after: int = 0, follow: bool = False) -> AsyncIterator[Recorded]:
        """See `Journal`."""
        return self._journal.read(tenant, run, after=after, follow=follow)

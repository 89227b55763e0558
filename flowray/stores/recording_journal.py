"""A journal whose runs are over only once the archive has them: what Redis forgets a moment later is on record."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence

from flowray.engine.events import Recorded, RunFinished, RunId, RunPaused
from flowray.engine.ports import Journal
from flowray.stores.archive import Archive

# What was appended is kept until its run is over, of so many runs and so many events of each; more is read back.
_RUNS, _EVENTS = 4_096, 20_000


class RecordingJournal:
    """See `Journal`. An append that ends a run returns once the whole journal is archived.

    Without this, a run that ended just before Redis was emptied would be found among the accepted ones and run again.
    """

    def __init__(self, journal: Journal, archive: Archive) -> None:
        self._journal = journal
        self._archive = archive
        self._written: OrderedDict[tuple[str, RunId], dict[int, Recorded]] = OrderedDict()

    async def append(self, tenant: str, events: Sequence[Recorded], *, lease: int = 0) -> None:
        """See `Journal`."""
        await self._journal.append(tenant, events, lease=lease)
        if not events:
            return
        key = (tenant, events[0].run)
        written = self._written.setdefault(key, {})
        written.update((one.seq, one) for one in events[-_EVENTS:])
        self._written.move_to_end(key)
        if isinstance(events[-1].event, RunFinished):
            await self._archive.keep_all(tenant, key[1], await self._whole(tenant, events[-1]))
        if isinstance(events[-1].event, RunFinished | RunPaused):
            self._written.pop(key, None)
        elif len(written) > _EVENTS or len(self._written) > _RUNS:
            self._written.pop(key if len(written) > _EVENTS else next(iter(self._written)))

    def read(self, tenant: str, run: RunId, *, after: int = 0, follow: bool = False) -> AsyncIterator[Recorded]:
        """See `Journal`."""
        return self._journal.read(tenant, run, after=after, follow=follow)

    async def _whole(self, tenant: str, last: Recorded) -> Sequence[Recorded]:
        written = self._written[tenant, last.run]
        if len(written) < last.seq:
            written |= {one.seq: one async for one in self._journal.read(tenant, last.run)}
        return [written[seq] for seq in sorted(written)]

"""The journal of one process: for the library, for tests, and for whoever wants no Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from flowray.engine.events import Recorded, RunFinished, RunId
from flowray.engine.summary import RunSummary, summary
from flowray.errors import ConflictError, NotFoundError

_Key = tuple[str, RunId]


class MemoryJournal:
    """Journals as lists. The oldest runs are forgotten once there are more than `keep_runs`."""

    def __init__(self, *, keep_runs: int = 1_000) -> None:
        self._keep_runs = keep_runs
        self._runs: dict[_Key, list[Recorded]] = {}
        self._grown: dict[_Key, asyncio.Event] = {}

    async def append(self, tenant: str, events: Sequence[Recorded]) -> None:
        """See `flowray.engine.ports.Journal`."""
        if not events:
            return
        key = (tenant, events[0].run)
        there = self._runs.get(key, [])
        if events[0].seq != len(there) + 1 or (there and isinstance(there[-1].event, RunFinished)):
            raise journal_conflict(events[0].run)
        self._runs.setdefault(key, []).extend(events)
        self._grown.pop(key, asyncio.Event()).set()
        while len(self._runs) > self._keep_runs:
            oldest = next(iter(self._runs))
            del self._runs[oldest]
            self._grown.pop(oldest, asyncio.Event()).set()

    async def read(
        self, tenant: str, run: RunId, *, after: int = 0, follow: bool = False
    ) -> AsyncGenerator[Recorded, None]:
        """See `flowray.engine.ports.Journal`."""
        key = (tenant, run)
        if key not in self._runs:
            raise unknown_run(run)
        there = self._runs[key]
        seen = after
        while True:
            while seen < len(there):
                yield there[seen]
                seen += 1
            if not follow or isinstance(there[-1].event, RunFinished) or key not in self._runs:
                return
            await self._grown.setdefault(key, asyncio.Event()).wait()

    async def runs(self, tenant: str, *, limit: int, before: float | None = None) -> tuple[RunSummary, ...]:
        """The tenant's runs, newest first; only those accepted before a time, when given."""
        found = [summary(events) for (owner, _), events in self._runs.items() if owner == tenant]
        wanted = [one for one in found if one is not None and (before is None or one.accepted_at < before)]
        return tuple(sorted(wanted, key=lambda one: one.accepted_at, reverse=True)[:limit])


def journal_conflict(run: RunId) -> ConflictError:
    """The error for an event that does not go on where the journal ends."""
    return ConflictError(f"The journal of run `{run}` is closed, or another engine writes it.")


def unknown_run(run: RunId) -> NotFoundError:
    """The error for a run that this tenant does not have."""
    return NotFoundError(f"There is no run `{run[:80]}`.")

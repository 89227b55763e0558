"""The journal of one process: for the library, for tests, and for whoever wants no Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from flowray.engine.events import Recorded, RunFinished, RunId
from flowray.engine.fencing import FencedError, JournalGapError, LeaseForgottenError
from flowray.engine.summary import RunSummary, summary
from flowray.errors import ConflictError, NotFoundError

_Key = tuple[str, RunId]


class MemoryJournal:
    """Journals as lists. The oldest runs are forgotten once there are more than `keep_runs`."""

    def __init__(self, *, keep_runs: int = 1_000) -> None:
        self._keep_runs = keep_runs
        self._runs: dict[_Key, list[Recorded]] = {}
        self._grown: dict[_Key, asyncio.Event] = {}
        self._fences: dict[_Key, int] = {}

    async def append(self, tenant: str, events: Sequence[Recorded], *, lease: int = 0) -> None:
        """See `flowray.engine.ports.Journal`."""
        if not events:
            return
        check_numbers(events)
        key = (tenant, events[0].run)
        there = self._runs.get(key, [])
        if there[events[0].seq - 1 :] == list(events):
            return
        _check(events, there, lease=lease, fence=self._fences.get(key, 0))
        self._runs.setdefault(key, []).extend(events)
        self._grown.pop(key, asyncio.Event()).set()
        while len(self._runs) > self._keep_runs:
            oldest = next(iter(self._runs))
            del self._runs[oldest]
            self._fences.pop(oldest, None)
            self._grown.pop(oldest, asyncio.Event()).set()

    def fence(self, tenant: str, run: RunId, number: int) -> None:
        """From now on take events of this run only with this lease's number."""
        self._fences[tenant, run] = number

    def is_over(self, tenant: str, run: RunId) -> bool:
        """Whether the run's last event is here."""
        there = self._runs.get((tenant, run), [])
        return bool(there) and isinstance(there[-1].event, RunFinished)

    def forget(self, tenant: str, run: RunId) -> None:
        """Forget a run that was not accepted after all."""
        self._runs.pop((tenant, run), None)
        self._fences.pop((tenant, run), None)

    def empty(self) -> None:
        """Forget everything, as a store does that lost its memory."""
        self._runs.clear()
        self._fences.clear()

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


def _check(events: Sequence[Recorded], there: Sequence[Recorded], *, lease: int, fence: int) -> None:
    run, first = events[0].run, events[0].seq
    if there and isinstance(there[-1].event, RunFinished):
        raise journal_conflict(run)
    if lease > fence:
        raise lease_forgotten(run)
    if lease != fence:
        raise fenced(run)
    if first > len(there) + 1:
        raise journal_gap(run, len(there))
    if first != len(there) + 1:
        raise journal_conflict(run)


def check_numbers(events: Sequence[Recorded]) -> None:
    """Refuse events that do not follow one another: what is in a journal, nobody takes out again."""
    if events[-1].seq - events[0].seq + 1 != len(events):
        numbers = ", ".join(str(one.seq) for one in events[:20])
        raise ConflictError(f"The numbers of these events of run `{events[0].run}` have a gap or a repeat: {numbers}.")


def fenced(run: RunId) -> FencedError:
    """The error for an append under a lease that is not the run's."""
    return FencedError(f"Run `{run}` is driven by another engine: this one's lease is over.")


def journal_gap(run: RunId, last: int) -> JournalGapError:
    """The error for an append that leaves a gap."""
    return JournalGapError(f"The journal of run `{run}` ends at {last}: the store has lost what came after.", last)


def lease_forgotten(run: RunId) -> LeaseForgottenError:
    """The error for an append under a lease that the store knows nothing of."""
    return LeaseForgottenError(f"The store has forgotten the lease of run `{run}`.")


def journal_conflict(run: RunId) -> ConflictError:
    """The error for an event that does not go on where the journal ends."""
    return ConflictError(f"The journal of run `{run}` is closed, or another engine writes it.")


def unknown_run(run: RunId) -> NotFoundError:
    """The error for a run that this tenant does not have."""
    return NotFoundError(f"There is no run `{run[:80]}`.")

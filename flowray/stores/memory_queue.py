"""The queue of one process, and its cancellations: for the library and for tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace

from flowray.engine.events import RunId
from flowray.engine.leasing import Lease, QueueFullError, QueueStats, Renewed, Turns, Waiting
from flowray.stores.memory_journal import MemoryJournal

_Key = tuple[str, RunId]


@dataclass
class _Entry:
    """Where a run is, and who holds it. `until` is when its lease or its parking ends."""

    where: str
    at: float
    until: float = 0.0
    number: int = 0
    takes: int = 0
    cancel: str = ""
    holder: str = ""


class MemoryQueue:
    """See `flowray.engine.leasing.Queue`; the fence is set in the journal of the same process."""

    def __init__(
        self, journal: MemoryJournal, *, turns: Turns | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._journal = journal
        self._turns = turns
        self._clock = clock
        self._runs: dict[_Key, _Entry] = {}
        self._order: list[str] = []
        self._numbers = 0
        self._rung = asyncio.Event()
        self._ears: list[asyncio.Queue[tuple[str, RunId, str]]] = []

    async def offer(self, tenant: str, run: RunId, *, at: float, most: int | None = None) -> bool:
        """See `Queue`."""
        entry = self._runs.get((tenant, run))
        if self._journal.is_over(tenant, run) or (entry is not None and entry.where in ("waiting", "leased")):
            return False
        waiting = sum(1 for (owner, _), one in self._runs.items() if owner == tenant and one.where == "waiting")
        if most is not None and waiting >= most:
            if entry is None:
                self._journal.forget(tenant, run)
            raise QueueFullError.of(tenant, most)
        self._wait((tenant, run), replace(entry, at=at) if entry else _Entry("waiting", at))
        return True

    async def knows(self, tenant: str, run: RunId, *, begun: str = "") -> bool:  # noqa: ARG002 - it forgets nothing
        """See `Queue`."""
        entry = self._runs.get((tenant, run))
        return (entry is not None and entry.where != "done") or self._journal.is_over(tenant, run)

    async def recover(self, tenant: str, run: RunId, *, at: float, begun: str = "") -> bool:  # noqa: ARG002
        """See `Queue`."""
        return not await self.knows(tenant, run) and await self.offer(tenant, run, at=at)

    async def take(self, holder: str, *, limit: int, for_s: float) -> Sequence[Lease]:
        """See `Queue`."""
        self._wake()
        leased = [key for key, one in self._runs.items() if one.where == "leased" and one.until <= self._clock()]
        lapsed = [key for key in leased if not self._journal.is_over(*key)]
        taken = [self._lease(key, holder, for_s) for key in lapsed[:limit]]
        if self._turns is not None:
            waiting = await self.waiting()
            order = list(await self._turns.next(waiting, limit)) if waiting else []
            taken += [self._lease(key, holder, for_s) for tenant in order if (key := self._first(tenant))]
            return taken[:limit]
        while len(taken) < limit and self._order:
            tenant = self._order.pop(0)
            key = self._first(tenant)
            if key is not None:
                taken.append(self._lease(key, holder, for_s))
                self._order.append(tenant)
        return taken

    async def claim(self, tenant: str, run: RunId, *, holder: str, for_s: float) -> Lease | None:
        """See `Queue`."""
        entry = self._runs.get((tenant, run))
        return self._lease((tenant, run), holder, for_s) if entry and entry.where in ("waiting", "parked") else None

    async def renew(self, leases: Sequence[Lease], *, for_s: float, reclaim: bool = False) -> Sequence[Renewed]:
        """See `Queue`."""
        return [self._renewed(lease, for_s, reclaim=reclaim) for lease in leases]

    async def done(self, lease: Lease) -> None:
        """See `Queue`."""
        if (entry := self._held(lease)) is not None:
            entry.where = "done"

    async def give_back(self, lease: Lease) -> None:
        """See `Queue`."""
        if (entry := self._held(lease)) is not None:
            self._fence((lease.tenant, lease.run), replace(entry, takes=entry.takes - 1))
            self._wait((lease.tenant, lease.run), self._runs[lease.tenant, lease.run])

    async def park(self, lease: Lease, *, until: float | None = None) -> None:
        """See `Queue`."""
        if (entry := self._held(lease)) is not None:
            if entry.cancel:
                await self.give_back(lease)
                return
            when = float("inf") if until is None else until
            self._fence((lease.tenant, lease.run), replace(entry, where="parked", until=when, takes=entry.takes - 1))

    async def parked(self, tenant: str) -> Sequence[RunId]:
        """See `Queue`."""
        return [run for (owner, run), entry in self._runs.items() if owner == tenant and entry.where == "parked"]

    async def bell(self, *, within_s: float) -> bool:
        """See `Queue`."""
        try:
            async with asyncio.timeout(within_s):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True

    async def waiting(self) -> Sequence[Waiting]:
        """See `Queue`."""
        found = {tenant: self._line(tenant) for tenant in self._order}
        return [
            Waiting(tenant=tenant, length=len(line), oldest_at=self._runs[line[0]].at)
            for tenant, line in found.items()
            if line
        ]

    async def length(self, tenant: str) -> int:
        """See `Queue`."""
        return len(self._line(tenant))

    async def stats(self) -> QueueStats:
        """See `Queue`."""
        places = [one.where for one in self._runs.values()]
        now = self._clock()
        oldest = min((one.at for one in self._runs.values() if one.where == "waiting"), default=now)
        return QueueStats(
            waiting=places.count("waiting"),
            leased=places.count("leased"),
            parked=places.count("parked"),
            oldest_s=max(0.0, now - oldest),
        )

    async def ask(self, tenant: str, run: RunId, *, reason: str) -> None:
        """See `flowray.engine.leasing.Cancels`."""
        if (entry := self._runs.get((tenant, run))) is not None:
            entry.cancel = reason
        for ear in self._ears:
            ear.put_nowait((tenant, run, reason))

    async def listen(self) -> AsyncGenerator[tuple[str, RunId, str], None]:
        """See `flowray.engine.leasing.Cancels`."""
        ear: asyncio.Queue[tuple[str, RunId, str]] = asyncio.Queue()
        self._ears.append(ear)
        try:
            while True:
                yield await ear.get()
        finally:
            self._ears.remove(ear)

    def empty(self) -> None:
        """Forget everything, as a store does that lost its memory."""
        self._runs.clear()
        self._order.clear()
        self._journal.empty()

    def _renewed(self, lease: Lease, for_s: float, *, reclaim: bool) -> Renewed:
        key = (lease.tenant, lease.run)
        entry = self._runs.get(key)
        unknown = (entry is None or entry.number < lease.number) and not self._journal.is_over(*key)
        if unknown and reclaim:
            self._runs[key] = entry = _Entry("leased", self._clock(), number=lease.number, takes=lease.takes)
            self._journal.fence(*key, lease.number)
        elif unknown:
            return Renewed(lease=lease, kept="unknown")
        if entry is None or entry.where != "leased" or entry.number != lease.number:
            return Renewed(lease=lease, kept="lost", cancel=entry.cancel if entry else "")
        entry.until = self._clock() + for_s
        return Renewed(lease=lease, kept="kept", cancel=entry.cancel, forgot=unknown)

    def _held(self, lease: Lease) -> _Entry | None:
        entry = self._runs.get((lease.tenant, lease.run))
        return entry if entry and entry.where == "leased" and entry.number == lease.number else None

    def _lease(self, key: _Key, holder: str, for_s: float) -> Lease:
        entry = self._runs[key]
        until = self._clock() + for_s
        self._fence(key, replace(entry, where="leased", until=until, takes=entry.takes + 1, holder=holder))
        entry = self._runs[key]
        return Lease(tenant=key[0], run=key[1], number=entry.number, takes=entry.takes, cancel=entry.cancel)

    def _fence(self, key: _Key, entry: _Entry) -> None:
        self._numbers += 1
        self._runs[key] = replace(entry, number=self._numbers)
        self._journal.fence(*key, self._numbers)

    def _wait(self, key: _Key, entry: _Entry) -> None:
        self._runs[key] = replace(entry, where="waiting")
        if key[0] not in self._order:
            self._order.append(key[0])
        self._rung.set()

    def _wake(self) -> None:
        for key, entry in tuple(self._runs.items()):
            if entry.where == "parked" and entry.until <= self._clock():
                self._wait(key, entry)

    def _line(self, tenant: str) -> list[_Key]:
        line = [key for key, one in self._runs.items() if key[0] == tenant and one.where == "waiting"]
        return sorted(line, key=lambda key: self._runs[key].at)

    def _first(self, tenant: str) -> _Key | None:
        return next(iter(self._line(tenant)), None)

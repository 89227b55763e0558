"""The audit log: acts are noted at once and written in batches, a chain for each tenant and one for operators.

An orderly end writes everything. A crash loses what was noted in the last half second, and what the store refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from flowray.errors import FlowRayError
from flowray.tenancy.act import Act, ChainEnd, end_of, faults, linked
from flowray.tenancy.sealing import Sealer

log = logging.getLogger(__name__)
_CAPACITY = 20_000
_BATCH = 1_000


class AuditUnavailableError(FlowRayError):
    """What cannot be put on record is not done: the audit log has not been written for too long."""

    code = "audit_unavailable"
    status = 503


class AuditRecords(Protocol):
    """Where chains are kept: segments of lines, each named by the number of its first record."""

    async def append(self, chain: str, first: int, lines: Sequence[bytes]) -> bool:
        """Keep a segment; False when there is one that begins with this number."""

    async def last(self, chain: str) -> bytes | None:
        """The last record of a chain."""

    def read(self, chain: str, *, after: int = 0) -> AsyncIterator[bytes]:
        """The records with a higher number than `after`, in order."""

    async def mark(self, chain: str, mark: Mapping[str, str]) -> None:
        """Keep the mark over a chain's end."""

    async def marked(self, chain: str) -> Mapping[str, str] | None:
        """The mark over a chain's end."""


class MemoryAuditRecords:
    """Chains of one process."""

    def __init__(self) -> None:
        self.segments: dict[str, dict[int, list[bytes]]] = {}
        self.marks: dict[str, Mapping[str, str]] = {}

    async def append(self, chain: str, first: int, lines: Sequence[bytes]) -> bool:
        """See `AuditRecords`."""
        segments = self.segments.setdefault(chain, {})
        if first in segments:
            return False
        segments[first] = list(lines)
        return True

    async def last(self, chain: str) -> bytes | None:
        """See `AuditRecords`."""
        segments = self.segments.get(chain)
        return segments[max(segments)][-1] if segments else None

    async def read(self, chain: str, *, after: int = 0) -> AsyncIterator[bytes]:
        """See `AuditRecords`."""
        for first, lines in sorted(self.segments.get(chain, {}).items()):
            for number, line in enumerate(lines, first):
                if number > after:
                    yield line

    async def mark(self, chain: str, mark: Mapping[str, str]) -> None:
        """See `AuditRecords`."""
        self.marks[chain] = mark

    async def marked(self, chain: str) -> Mapping[str, str] | None:
        """See `AuditRecords`."""
        return self.marks.get(chain)


class Audit:
    """Notes acts and writes them down."""

    def __init__(self, records: AuditRecords, sealer: Sealer, *, capacity: int = _CAPACITY) -> None:
        self._records = records
        self._sealer = sealer
        self._capacity = capacity
        self._noted: defaultdict[str, list[Act]] = defaultdict(list)
        self._count = 0
        self._ends: dict[str, ChainEnd] = {}
        self._one_writes = asyncio.Lock()

    def require_room(self) -> None:
        """Raise `AuditUnavailableError` when an act could not be noted."""
        if self._count >= self._capacity:
            raise AuditUnavailableError("The audit log cannot be written, so nothing is changed for now. Ask again.")

    def note(self, act: Act) -> None:
        """Put an act on record."""
        if self._count >= 2 * self._capacity:  # refusals only: what changes something asks for room before
            log.error("Act not on record", extra={"action": "audit_lost", "who": act.who, "what": act.action})
            return
        self._noted[act.tenant].append(act)
        self._count += 1

    async def write(self) -> None:
        """Write down what was noted; what cannot be written stays noted."""
        async with self._one_writes:
            for chain, acts in list(self._noted.items()):
                while acts:
                    batch = acts[:_BATCH]
                    await self._extend(chain, batch)
                    del acts[: len(batch)]
                    self._count -= len(batch)

    async def work(self, *, every_s: float = 0.5) -> None:
        """Write down what is noted, until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.write()
            except FlowRayError as error:
                log.warning("Audit not written", extra={"action": "audit_failed", "reason": error.message})

    async def read(self, chain: str, *, after: int = 0) -> AsyncIterator[bytes]:
        """A chain's records as they are kept."""
        await self.write()
        async for line in self._records.read(chain, after=after):
            yield line

    async def verify(self, chain: str) -> Sequence[str]:
        """What is wrong with a chain; nothing, when it is whole."""
        lines = [line async for line in self.read(chain)]
        mark = await self._records.marked(chain)
        if mark is None:
            return [*faults(lines), "The chain has no mark over its end."] if lines else []
        if not self._sealer.made(mark, place=_place(chain, int(mark["number"]), mark["hash"])):
            return [*faults(lines), "The mark over the chain's end was not made by this service."]
        return faults(lines, end=ChainEnd(int(mark["number"]), mark["hash"]))

    async def _extend(self, chain: str, acts: Sequence[Act]) -> None:
        end = self._ends.get(chain) or await self._end(chain)
        lines, new_end = linked(acts, end)
        # Another gateway may have gone on meanwhile: whoever comes second looks where the chain ends now.
        while not await self._records.append(chain, end.number + 1, lines):
            end = await self._end(chain)
            lines, new_end = linked(acts, end)
        self._ends[chain] = new_end
        made = self._sealer.mark(place=_place(chain, new_end.number, new_end.hash))
        await self._records.mark(chain, {"number": str(new_end.number), "hash": new_end.hash, **made})

    async def _end(self, chain: str) -> ChainEnd:
        last = await self._records.last(chain)
        return ChainEnd() if last is None else end_of(last)


def _place(chain: str, number: int, end_hash: str) -> str:
    return f"audit/{chain}/{number}/{end_hash}"

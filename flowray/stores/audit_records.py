"""Audit chains in the object store, below their tenant: segments that are only ever added, and a mark over the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from flowray.engine.codec import dumps, loads
from flowray.errors import NotFoundError
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path


class ObjectAuditRecords:
    """See `flowray.tenancy.audit.AuditRecords`."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def append(self, chain: str, first: int, lines: Sequence[bytes]) -> bool:
        """Keep a segment; False when there is one that begins with this number."""
        return await self._objects.create(path(chain, "audit", f"{first:012}.jsonl"), b"\n".join(lines))

    async def last(self, chain: str) -> bytes | None:
        """The last record of a chain."""
        segments = await self._segments(chain)
        return (await self._objects.get(segments[-1])).splitlines()[-1] if segments else None

    async def read(self, chain: str, *, after: int = 0) -> AsyncIterator[bytes]:
        """The records with a higher number than `after`, in order."""
        segments = await self._segments(chain)
        begins = [_first(key) for key in segments]
        start = max((index for index, first in enumerate(begins) if first <= after + 1), default=0)
        for key in segments[start:]:
            for number, line in enumerate((await self._objects.get(key)).splitlines(), _first(key)):
                if number > after:
                    yield line

    async def mark(self, chain: str, mark: Mapping[str, str]) -> None:
        """Keep the mark over a chain's end."""
        await self._objects.put(_mark_key(chain), dumps(dict(mark)))

    async def marked(self, chain: str) -> Mapping[str, str] | None:
        """The mark over a chain's end."""
        try:
            mark: Mapping[str, str] = loads(await self._objects.get(_mark_key(chain)))
        except NotFoundError:
            return None
        return mark

    async def _segments(self, chain: str) -> Sequence[str]:
        return sorted([one.key async for one in self._objects.list(path(chain, "audit"))])


def _first(key: str) -> int:
    return int(key.rpartition("/")[2].removesuffix(".jsonl"))


def _mark_key(chain: str) -> str:
    return path(chain, "audit-mark", "end.json")

"""An object store in which others are faster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container
from datetime import UTC, datetime, timedelta

from flowray.stores.objects import ObjectStore


class Overtaken(ObjectStore):
    """What `objects` has; before reads with these numbers, counted from 1, answer, `meanwhile` is done."""

    def __init__(
        self, objects: ObjectStore, meanwhile: Callable[[], Awaitable[object]], *, reads: Container[int] = (1,)
    ) -> None:
        super().__init__(objects._store, name=objects._name)
        self._meanwhile = meanwhile
        self._overtaken = reads
        self.reads = 0

    async def get(self, key: str) -> bytes:
        found = await super().get(key)
        self.reads += 1
        if self.reads in self._overtaken:
            await self._meanwhile()
        return found


class Old(ObjectStore):
    """What `objects` has, and the first object asked for is two minutes old; `meanwhile` is done before it says so."""

    def __init__(self, objects: ObjectStore, meanwhile: Callable[[], Awaitable[object]] | None = None) -> None:
        super().__init__(objects._store, name=objects._name)
        self._meanwhile = meanwhile
        self._is_old = True

    async def modified(self, key: str) -> datetime | None:
        if not self._is_old:
            return await super().modified(key)
        self._is_old = False
        if self._meanwhile is not None:
            await self._meanwhile()
        return datetime.now(UTC) - timedelta(minutes=2)

"""Callbacks that are owed, in the record: so that one is told of the end of its run although Redis was lost."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from flowray.engine.events import RunId
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path

_FOLDER = "callbacks"


class Owed:
    """One empty object per callback that has not been taken yet."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def add(self, tenant: str, run: RunId) -> None:
        """A callback is owed."""
        await self._objects.put(path(tenant, _FOLDER, run), b"")

    async def has(self, tenant: str, run: RunId) -> bool:
        """Whether it is owed."""
        return await self._objects.exists(path(tenant, _FOLDER, run))

    async def remove(self, tenant: str, run: RunId) -> None:
        """It was taken, or given up."""
        await self._objects.delete(path(tenant, _FOLDER, run))

    async def all(self) -> AsyncGenerator[tuple[str, RunId], None]:
        """Those of all tenants."""
        async for tenant in self._objects.folders("tenants"):
            async for one in self._objects.list(path(tenant, _FOLDER)):
                yield tenant, RunId(one.key.rpartition("/")[2])

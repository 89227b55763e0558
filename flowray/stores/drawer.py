"""Small records of one kind, each an object of its own below its tenant: projects, and what is known of files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Generic, TypeVar

from flowray.engine.codec import dumps, loads
from flowray.errors import NotFoundError
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import is_segment, path
from flowray.stores.records import ProjectRecord, UploadRecord

T = TypeVar("T", ProjectRecord, UploadRecord)


class Drawer(Generic[T]):
    """The records of all tenants that lie in folders of this name; `make` makes one of what was kept."""

    def __init__(self, objects: ObjectStore, folder: str, make: Callable[..., T]) -> None:
        self._objects = objects
        self._folder = folder
        self._make: Callable[..., T] = make

    async def list(self, tenant: str) -> tuple[T, ...]:
        """All of a tenant's, the oldest first."""
        keys = [one.key async for one in self._objects.list(path(tenant, self._folder))]
        found = [self._make(**loads(kept)) for kept in (await self._objects.get_all(keys)).values()]
        return tuple(sorted(found, key=lambda one: (one.created_at, one.id)))

    async def find(self, tenant: str, name: str) -> T | None:
        """The one with this id."""
        if not is_segment(name):
            return None
        try:
            return self._make(**loads(await self._objects.get(self._key(tenant, name))))
        except NotFoundError:
            return None

    async def save(self, tenant: str, record: T) -> None:
        """Keep it in place of what was there."""
        kept: dict[str, Any] = asdict(record)
        await self._objects.put(self._key(tenant, record.id), dumps(kept))

    async def delete(self, tenant: str, name: str) -> None:
        """Forget it."""
        await self._objects.delete(self._key(tenant, name))

    def _key(self, tenant: str, name: str) -> str:
        return path(tenant, self._folder, f"{name}.json")

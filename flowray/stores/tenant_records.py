"""Tenants' settings in the object store: one object each, in a folder of their own, so that they can be listed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flowray.engine.codec import dumps, loads
from flowray.errors import NotFoundError
from flowray.flow.types import JsonObject
from flowray.stores.changed import changed
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import is_segment

_FOLDER = "tenant-settings"


class ObjectTenantRecords:
    """See `flowray.tenancy.tenants.TenantRecords`."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def create(self, tenant: str, record: Mapping[str, Any]) -> bool:
        """Keep a new tenant's record; False when there is one already."""
        return await self._objects.create(_key(tenant), dumps(dict(record)))

    async def change(self, tenant: str, make: Callable[[JsonObject], JsonObject]) -> JsonObject | None:
        """Replace a tenant's record by what `make` makes of it; None when there is none."""
        return await changed(self._objects, _key(tenant), make) if is_segment(tenant) else None

    async def find(self, tenant: str) -> Mapping[str, Any] | None:
        """A tenant's record."""
        if not is_segment(tenant):
            return None
        try:
            record: Mapping[str, Any] = loads(await self._objects.get(_key(tenant)))
        except NotFoundError:
            return None
        return record

    async def list(self) -> Sequence[str]:
        """The ids of all tenants."""
        return [one.key.rpartition("/")[2].removesuffix(".json") async for one in self._objects.list(_FOLDER)]

    async def remove(self, tenant: str) -> None:
        """Forget a tenant's record; it may be gone already."""
        if is_segment(tenant):
            await self._objects.delete(_key(tenant))


def _key(tenant: str) -> str:
    return f"{_FOLDER}/{tenant}.json"

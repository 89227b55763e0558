"""Variables in the object store, below their tenant, each an object of its own; their values are sealed already."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flowray.engine.codec import dumps, loads
from flowray.flow.types import JsonObject
from flowray.stores.changed import changed
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path, spelled


class ObjectVariableRecords:
    """See `flowray.tenancy.variable_record.VariableRecords`."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def create(self, tenant: str, name: str, record: Mapping[str, Any]) -> bool:
        """Keep a new one; False when there is one of this name."""
        return await self._objects.create(_key(tenant, name), dumps(dict(record)))

    async def change(self, tenant: str, name: str, make: Callable[[JsonObject], JsonObject]) -> JsonObject | None:
        """Replace one by what `make` makes of it; None when there is none."""
        return await changed(self._objects, _key(tenant, name), make)

    async def list(self, tenant: str) -> Sequence[Mapping[str, Any]]:
        """All of a tenant's."""
        keys = [one.key async for one in self._objects.list(path(tenant, "variables"))]
        return [loads(kept) for kept in (await self._objects.get_all(keys)).values()]

    async def remove(self, tenant: str, name: str) -> None:
        """Forget one; it may be gone already."""
        await self._objects.delete(_key(tenant, name))


def _key(tenant: str, name: str) -> str:
    return path(tenant, "variables", f"{spelled(name)}.json")

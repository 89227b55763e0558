"""API keys in the object store: below their tenant, with a pointer for those who have nothing but a key."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flowray.engine.codec import dumps, loads
from flowray.errors import NotFoundError
from flowray.flow.types import JsonObject
from flowray.stores.changed import changed
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path

_DIGEST = re.compile(r"[0-9a-f]{64}")


class ObjectKeyRecords:
    """See `flowray.tenancy.key_record.KeyRecords`. A key works from when its pointer is there until it is gone."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def add(self, tenant: str, key_digest: str, record: Mapping[str, Any]) -> None:
        """Keep a new key's record."""
        await self._objects.put(_record(tenant, key_digest), dumps(dict(record)))
        await self._objects.put(_pointer(key_digest), tenant.encode())

    async def change(self, tenant: str, key_digest: str, make: Callable[[JsonObject], JsonObject]) -> JsonObject | None:
        """Replace a key's record by what `make` makes of it; None when there is none. No pointer comes back."""
        return await changed(self._objects, _record(tenant, key_digest), make)

    async def find(self, key_digest: str) -> Mapping[str, Any] | None:
        """The record of a key, whosesoever it is."""
        if _DIGEST.fullmatch(key_digest) is None:
            return None
        try:
            tenant = (await self._objects.get(_pointer(key_digest))).decode()
            record: Mapping[str, Any] = loads(await self._objects.get(_record(tenant, key_digest)))
        except NotFoundError:
            return None
        return record

    async def list(self, tenant: str) -> Sequence[Mapping[str, Any]]:
        """The records of a tenant's keys."""
        keys = [one.key async for one in self._objects.list(path(tenant, "keys"))]
        return [loads(kept) for kept in (await self._objects.get_all(keys)).values()]

    async def remove(self, tenant: str, key_digest: str) -> None:
        """Forget a key; it may be gone already."""
        await self._objects.delete(_pointer(key_digest))
        await self._objects.delete(_record(tenant, key_digest))


def _record(tenant: str, key_digest: str) -> str:
    return path(tenant, "keys", f"{key_digest}.json")


def _pointer(key_digest: str) -> str:
    return f"keys/{key_digest}"

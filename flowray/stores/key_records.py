"""API keys in the object store: below their tenant, with a pointer for those who have nothing but a key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from flowray.engine.codec import dumps, loads
from flowray.errors import NotFoundError
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path

_DIGEST = re.compile(r"[0-9a-f]{64}")


class ObjectKeyRecords:
    """See `flowray.tenancy.key_record.KeyRecords`. A key works from when its pointer is there until it is gone."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def add(self, tenant: str, key_digest: str, record: Mapping[str, Any]) -> None:
        """Keep a key's record; one with this digest is replaced."""
        await self._objects.put(_record(tenant, key_digest), dumps(dict(record)))
        await self._objects.put(_pointer(key_digest), tenant.encode())

    async def find(self, key_digest: str) -> Mapping[str, Any] | None:
        """The record of a key, whosesoever it is."""
        if _DIGEST.fullmatch(key_digest) is None:
            return None
        try:
            tenant = (await self._objects.get(_pointer(key_digest))).decode()
            return await self._read(_record(tenant, key_digest))
        except NotFoundError:
            return None

    async def list(self, tenant: str) -> Sequence[Mapping[str, Any]]:
        """The records of a tenant's keys."""
        keys = [one.key async for one in self._objects.list(path(tenant, "keys"))]
        return [await self._read(key) for key in keys]

    async def remove(self, tenant: str, key_digest: str) -> None:
        """Forget a key; it may be gone already."""
        found = await self.find(key_digest)
        if found is not None and found["tenant"] == tenant:
            await self._objects.delete(_pointer(key_digest))
            await self._objects.delete(_record(tenant, key_digest))

    async def _read(self, key: str) -> Mapping[str, Any]:
        record: Mapping[str, Any] = loads(await self._objects.get(key))
        return record


def _record(tenant: str, key_digest: str) -> str:
    return path(tenant, "keys", f"{key_digest}.json")


def _pointer(key_digest: str) -> str:
    return f"keys/{key_digest}"

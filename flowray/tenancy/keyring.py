"""The keys of all tenants: issued, known again by their digest, revoked."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, get_args

from flowray.errors import InvalidRequestError
from flowray.tenancy.keys import digest_of, mint
from flowray.tenancy.principal import Principal, Role
from flowray.tenancy.tenant import tenant_id

_NAME_LIMIT_CHARS = 100
_ALL: tuple[Role, ...] = ("admin",)


class KeyRecords(Protocol):
    """Where keys are kept, as JSON, by their digest."""

    async def add(self, tenant: str, key_digest: str, record: Mapping[str, Any]) -> None:
        """Keep a key's record."""

    async def find(self, key_digest: str) -> Mapping[str, Any] | None:
        """The record of a key, whosesoever it is."""

    async def list(self, tenant: str) -> Sequence[Mapping[str, Any]]:
        """The records of a tenant's keys."""

    async def remove(self, tenant: str, key_digest: str) -> None:
        """Forget a key; it may be gone already."""


class MemoryKeyRecords:
    """Keys of one process."""

    def __init__(self) -> None:
        self._records: dict[str, tuple[str, Mapping[str, Any]]] = {}

    async def add(self, tenant: str, key_digest: str, record: Mapping[str, Any]) -> None:
        """See `KeyRecords`."""
        self._records[key_digest] = (tenant, record)

    async def find(self, key_digest: str) -> Mapping[str, Any] | None:
        """See `KeyRecords`."""
        _, record = self._records.get(key_digest, ("", None))
        return record

    async def list(self, tenant: str) -> Sequence[Mapping[str, Any]]:
        """See `KeyRecords`."""
        return [record for owner, record in self._records.values() if owner == tenant]

    async def remove(self, tenant: str, key_digest: str) -> None:
        """See `KeyRecords`."""
        if self._records.get(key_digest, ("", None))[0] == tenant:
            del self._records[key_digest]


class Keyring:
    """Issues keys and knows them again."""

    def __init__(self, records: KeyRecords, *, clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._clock = clock

    async def issue(self, tenant: str, *, name: str = "", roles: Collection[Role] = _ALL) -> str:
        """A new key of this tenant. It is said once, here."""
        if not roles or set(roles) - set(get_args(Role)):
            raise InvalidRequestError(f"`roles`: {sorted(roles)} is no role; there are {', '.join(get_args(Role))}.")
        key = mint()
        key_digest = digest_of(key)
        record = {
            "tenant": tenant_id(tenant),
            "digest": key_digest,
            "name": name[:_NAME_LIMIT_CHARS],
            "roles": sorted(roles),
            "created_at": self._clock(),
        }
        await self._records.add(tenant, key_digest, record)
        return key

    async def caller(self, key_digest: str) -> Principal | None:
        """Whom the key with this digest belongs to."""
        record = await self._records.find(key_digest)
        if record is None:
            return None
        return Principal(tenant=record["tenant"], roles=frozenset(record["roles"]), key=record["name"])

    async def list(self, tenant: str) -> Sequence[Mapping[str, Any]]:
        """The tenant's keys, the oldest first: name, roles, digest, when they were made. Never the keys themselves."""
        return sorted(await self._records.list(tenant), key=lambda record: float(record["created_at"]))

    async def revoke(self, tenant: str, key_digest: str) -> None:
        """Have a key work no longer. Who has asked for it lately may remember it for some seconds."""
        await self._records.remove(tenant, key_digest)

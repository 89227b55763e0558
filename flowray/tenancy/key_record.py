"""What is kept of a key: everything but the key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Protocol

from flowray.flow.types import JsonObject
from flowray.tenancy.principal import Principal, Role


@dataclass(frozen=True, kw_only=True)
class KeyRecord:
    """A key of a tenant. `prefix` is as much of it as may be shown, `created_by` who asked for it."""

    id: str
    tenant: str
    digest: str
    prefix: str
    name: str
    roles: tuple[Role, ...]
    created_at: float
    created_by: str = ""
    expires_at: float | None = None

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> KeyRecord:
        """The key that a kept record says. What a later version added is passed over."""
        known = {one.name for one in fields(cls)}
        said = {name: value for name, value in record.items() if name in known}
        return cls(**said | {"roles": tuple(said["roles"])})

    @cached_property
    def principal(self) -> Principal:
        """Whoever bears the key."""
        return Principal(tenant=self.tenant, roles=frozenset(self.roles), key=self.name, key_id=self.id)

    def as_json(self) -> dict[str, Any]:
        """The record that is kept."""
        return asdict(self)


class KeyRecords(Protocol):
    """Where keys are kept, as JSON, by their digest."""

    async def add(self, tenant: str, key_digest: str, record: Mapping[str, Any]) -> None:
        """Keep a new key's record."""

    async def change(self, tenant: str, key_digest: str, make: Callable[[JsonObject], JsonObject]) -> JsonObject | None:
        """Replace a key's record by what `make` makes of it; None when there is none: no key comes back.

        `make` is asked again when the record is another one by then; `OvertakenError` when that does not end.
        """

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

    async def change(self, tenant: str, key_digest: str, make: Callable[[JsonObject], JsonObject]) -> JsonObject | None:
        """See `KeyRecords`."""
        owner, record = self._records.get(key_digest, ("", None))
        if record is None or owner != tenant:
            return None
        new = make(record)
        self._records[key_digest] = (tenant, new)
        return new

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

"""All tenants and what is settled for each. A change holds on every replica within a second."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from flowray.errors import ConflictError, NotFoundError
from flowray.flow.types import JsonObject
from flowray.tenancy.news import News, Remembered
from flowray.tenancy.tenant import Tenant, tenant_id
from flowray.tenancy.tenant_settings import settled, tenant_of

_KIND = "tenant"
_APART_S = 0.001


class TenantRecords(Protocol):
    """Where tenants are kept, as JSON, by their id."""

    async def create(self, tenant: str, record: Mapping[str, Any]) -> bool:
        """Keep a new tenant's record; False when there is one already."""

    async def change(self, tenant: str, make: Callable[[JsonObject], JsonObject]) -> JsonObject | None:
        """Replace a tenant's record by what `make` makes of it; None when there is none.

        `make` is asked again when the record is another one by then; `OvertakenError` when that does not end.
        """

    async def find(self, tenant: str) -> Mapping[str, Any] | None:
        """A tenant's record."""

    async def list(self) -> Sequence[str]:
        """The ids of all tenants."""

    async def remove(self, tenant: str) -> None:
        """Forget a tenant's record; it may be gone already."""


class MemoryTenantRecords:
    """Tenants of one process."""

    def __init__(self, records: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._records = dict(records or {})

    async def create(self, tenant: str, record: Mapping[str, Any]) -> bool:
        """See `TenantRecords`."""
        return self._records.setdefault(tenant, record) is record

    async def change(self, tenant: str, make: Callable[[JsonObject], JsonObject]) -> JsonObject | None:
        """See `TenantRecords`."""
        if tenant not in self._records:
            return None
        self._records[tenant] = make(self._records[tenant])
        return self._records[tenant]

    async def find(self, tenant: str) -> Mapping[str, Any] | None:
        """See `TenantRecords`."""
        return self._records.get(tenant)

    async def list(self) -> Sequence[str]:
        """See `TenantRecords`."""
        return list(self._records)

    async def remove(self, tenant: str) -> None:
        """See `TenantRecords`."""
        self._records.pop(tenant, None)


class Tenants:
    """Finds tenants for whoever acts in their name, and settles things for them."""

    def __init__(self, records: TenantRecords, news: News, *, clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._news = news
        self._clock = clock
        self._remembered = Remembered(_KIND, self._read, news)

    async def find(self, tenant: str) -> Tenant | None:
        """The tenant with this id; asked on every request, and rarely more than a look into memory."""
        return await self._remembered.of(tenant)

    async def of(self, tenant: str) -> Tenant:
        """The same; `NotFoundError` when there is none."""
        found = await self.find(tenant)
        if found is None:
            raise _unknown(tenant)
        return found

    async def list(self) -> Sequence[Tenant]:
        """All tenants by id."""
        found = [await self.find(tenant) for tenant in sorted(await self._records.list())]
        return [tenant for tenant in found if tenant is not None]

    async def create(self, tenant: str, settings: Mapping[str, Any] | None = None) -> Tenant:
        """A new tenant; `ConflictError` when there is one with this id."""
        now = self._clock()
        blank = Tenant(id=tenant_id(tenant), created_at=now, changed_at=now, revision=_revision())
        made = replace(blank, **settled(blank, settings or {}))
        if not await self._records.create(tenant, made.as_json()):
            raise ConflictError(f"There is a tenant `{tenant}` already.")
        await self._news.tell(_KIND, tenant)
        return made

    async def settle(self, tenant: str, change: Mapping[str, Any], *, revision: str = "") -> Tenant:
        """Change what is settled for a tenant; `ConflictError` when it is not the revision that the caller saw."""
        record = await self._records.change(tenant, lambda record: self._settled(record, change, revision))
        if record is None:
            raise _unknown(tenant)
        await self._news.tell(_KIND, tenant)
        return tenant_of(record)

    async def remove(self, tenant: str) -> None:
        """Forget a tenant's settings: nobody acts in its name any more."""
        await self._records.remove(tenant)
        await self._news.tell(_KIND, tenant)

    def _settled(self, record: JsonObject, change: JsonObject, revision: str) -> JsonObject:
        old = tenant_of(record)
        if revision not in ("", old.revision):
            raise ConflictError(f"The tenant `{old.id}` was changed meanwhile. Read it again, then change it.")
        changed = settled(old, change)
        if not changed:
            return record
        # Terms go by it: of two gateways' changes the later one holds, also where its clock is behind the other's.
        changed_at = max(self._clock(), old.changed_at + _APART_S)
        return replace(old, **changed, changed_at=changed_at, revision=_revision()).as_json()

    async def _read(self, tenant: str) -> Tenant | None:
        record = await self._records.find(tenant)
        return None if record is None else tenant_of(record)


def _revision() -> str:
    return secrets.token_hex(8)


def _unknown(tenant: str) -> NotFoundError:
    return NotFoundError(f"There is no tenant `{tenant[:80]}`.")

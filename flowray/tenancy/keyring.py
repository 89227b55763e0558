"""The keys of all tenants: issued, known again by their digest, replaced, revoked at once on every replica."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flowray.errors import InvalidRequestError, NotFoundError
from flowray.tenancy.key_record import KeyRecord, KeyRecords
from flowray.tenancy.keys import digest_of, mint, shown
from flowray.tenancy.news import News, Remembered
from flowray.tenancy.permissions import ROLES
from flowray.tenancy.principal import Principal, Role
from flowray.tenancy.tenant import tenant_id

_KIND = "key"
NAME_LIMIT_CHARS = 100
_ALL: tuple[Role, ...] = ("admin",)


@dataclass(frozen=True, kw_only=True)
class IssuedKey:
    """A new key. It is said once, here."""

    key: str
    record: KeyRecord


class Keyring:
    """Issues keys and knows them again."""

    def __init__(self, records: KeyRecords, news: News, *, clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._news = news
        self._clock = clock
        self._remembered = Remembered(_KIND, self._read, news)

    async def issue(
        self,
        tenant: str,
        *,
        name: str = "",
        roles: Collection[Role] = _ALL,
        expires_at: float | None = None,
        by: str = "",
    ) -> IssuedKey:
        """A new key of this tenant."""
        self._check(roles, expires_at)
        key = mint()
        record = KeyRecord(
            id=str(uuid.uuid4()),
            tenant=tenant_id(tenant),
            digest=digest_of(key),
            prefix=shown(key),
            name=name[:NAME_LIMIT_CHARS],
            roles=tuple(sorted(roles)),
            created_at=self._clock(),
            created_by=by,
            expires_at=expires_at,
        )
        await self._records.add(tenant, record.digest, record.as_json())
        return IssuedKey(key=key, record=record)

    async def caller(self, key_digest: str) -> Principal | None:
        """Whom the key with this digest belongs to, unless it has expired."""
        record = await self._remembered.of(key_digest)
        if record is None or (record.expires_at is not None and record.expires_at <= self._clock()):
            return None
        return record.principal

    async def list(self, tenant: str) -> Sequence[KeyRecord]:
        """The tenant's keys, the oldest first. Never the keys themselves."""
        found = [KeyRecord.of(record) for record in await self._records.list(tenant)]
        return sorted(found, key=lambda record: record.created_at)

    async def find(self, tenant: str, key_id: str) -> KeyRecord:
        """One of the tenant's keys; `NotFoundError` when it has none with this id."""
        found = next((record for record in await self.list(tenant) if record.id == key_id), None)
        if found is None:
            raise _unknown(key_id)
        return found

    async def settle(self, tenant: str, key_id: str, change: Mapping[str, Any]) -> KeyRecord:
        """Change a key's `roles` or `expires_at` from now on, everywhere; what is not named stays as it is.

        `NotFoundError` when the tenant has no such key, or it is revoked meanwhile.
        """
        key = await self.find(tenant, key_id)
        settled = await self._change(key, lambda old: self._settled(old, change))
        if settled is None:
            raise _unknown(key_id)
        return settled

    async def rotate(self, tenant: str, key_id: str, *, grace_s: float = 0.0, by: str = "") -> IssuedKey:
        """A new key that may what the old one may; the old one works for `grace_s` more."""
        old = await self.find(tenant, key_id)
        issued = await self.issue(tenant, name=old.name, roles=old.roles, expires_at=old.expires_at, by=by)
        if grace_s <= 0:
            await self._forget(old)
            return issued
        ends_at = self._clock() + grace_s
        await self._change(old, lambda kept: replace(kept, expires_at=min(ends_at, kept.expires_at or ends_at)))
        return issued

    async def revoke(self, tenant: str, key_id: str) -> KeyRecord:
        """Have a key work no longer, anywhere."""
        record = await self.find(tenant, key_id)
        await self._forget(record)
        return record

    async def revoke_all(self, tenant: str) -> int:
        """Have none of the tenant's keys work any longer; how many there were."""
        records = await self.list(tenant)
        for record in records:
            await self._forget(record)
        return len(records)

    def _check(self, roles: Collection[Role], expires_at: float | None) -> None:
        if not roles or set(roles) - set(ROLES):
            raise InvalidRequestError(f"`roles`: {sorted(roles)} is no role; there are {', '.join(ROLES)}.")
        if expires_at is not None and expires_at <= self._clock():
            raise InvalidRequestError("`expires_at` lies in the past.")

    def _settled(self, old: KeyRecord, change: Mapping[str, Any]) -> KeyRecord:
        roles, expires_at = change.get("roles", old.roles), change.get("expires_at", old.expires_at)
        self._check(roles, expires_at)
        return replace(old, roles=tuple(sorted(roles)), expires_at=expires_at)

    async def _change(self, key: KeyRecord, make: Callable[[KeyRecord], KeyRecord]) -> KeyRecord | None:
        """The key as `make` makes it; None when it is revoked by now."""
        record = await self._records.change(key.tenant, key.digest, lambda old: make(KeyRecord.of(old)).as_json())
        await self._news.tell(_KIND, key.digest)
        return None if record is None else KeyRecord.of(record)

    async def _forget(self, record: KeyRecord) -> None:
        await self._records.remove(record.tenant, record.digest)
        await self._news.tell(_KIND, record.digest)

    async def _read(self, key_digest: str) -> KeyRecord | None:
        record = await self._records.find(key_digest)
        return None if record is None else KeyRecord.of(record)


def _unknown(key_id: str) -> NotFoundError:
    return NotFoundError(f"There is no key with the id `{key_id[:80]}`.")

"""A key as lists show it, in the shape of Langflow's ApiKeyRead with a few fields more."""

from __future__ import annotations

from datetime import UTC, datetime

from flowray.tenancy.key_record import KeyRecord
from flowray.tenancy.key_uses import Use
from flowray.tenancy.langflow_ids import tenant_uuid
from flowray_serve.answers.tenancy import KeyList, KeyRead

_HIDDEN = "*" * 38


def key_read(record: KeyRecord, use: Use | None = None, *, key: str | None = None) -> KeyRead:
    """The key's record; `key` itself only when it has just been made."""
    return {
        "id": record.id,
        "name": record.name,
        "api_key": key or f"{record.prefix}{_HIDDEN}",
        "prefix": record.prefix,
        "roles": list(record.roles),
        "user_id": tenant_uuid(record.tenant, "user"),
        "tenant": record.tenant,
        "created_at": _said(record.created_at),
        "created_by": record.created_by,
        "expires_at": _said(record.expires_at),
        "last_used_at": _said(use[1] if use else None),
        "total_uses": use[0] if use else 0,
        "is_active": True,
    }


def keys_read(tenant: str, records: list[KeyRead]) -> KeyList:
    """A tenant's keys in the shape of Langflow's ApiKeysResponse."""
    return {"total_count": len(records), "user_id": tenant_uuid(tenant, "user"), "api_keys": records}


def _said(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).replace(microsecond=0).isoformat()

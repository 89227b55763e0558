"""What operators ask, as plain requests; for `Client.ask`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowray.client.calls import Call, segment

Record = Mapping[str, Any]
_TENANTS = "/api/v1/admin/tenants"
_PRELOAD = "/api/v1/admin/preload"
_OWN_KEYS = "/api/v1/api_key/"


def tenants() -> Call[Sequence[Record]]:
    """All tenants."""
    return Call(method="GET", path=_TENANTS, read=lambda response: response.json()["tenants"])


def tenant(name: str) -> Call[Record]:
    """One tenant."""
    return Call(method="GET", path=f"{_TENANTS}/{segment(name)}", read=lambda response: response.json())


def create_tenant(name: str, settings: Record) -> Call[Record]:
    """Make a tenant."""
    return Call(
        method="POST", path=_TENANTS, json={"id": name, "settings": settings}, read=lambda response: response.json()
    )


def settle_tenant(name: str, settings: Record, *, revision: str = "") -> Call[Record]:
    """Settle something for a tenant."""
    body = {"settings": settings, "revision": revision}
    return Call(method="PATCH", path=f"{_TENANTS}/{segment(name)}", json=body, read=lambda response: response.json())


def remove_tenant(name: str, *, purge: bool = False) -> Call[Record]:
    """Forget a suspended tenant; with `purge`, all that it has as well."""
    return Call(
        method="DELETE",
        path=f"{_TENANTS}/{segment(name)}",
        params={"purge": purge},
        read=lambda response: response.json(),
    )


def keys(tenant: str) -> Call[Sequence[Record]]:
    """A tenant's keys; the caller's own tenant's when none is named."""
    return Call(method="GET", path=_keys(tenant), read=lambda response: response.json()["api_keys"])


def create_key(tenant: str, body: Record) -> Call[Record]:
    """Make a key."""
    return Call(method="POST", path=_keys(tenant), json=body, read=lambda response: response.json())


def settle_key(tenant: str, key_id: str, body: Record) -> Call[Record]:
    """Change what a tenant's key may, or when it ends."""
    return Call(method="PATCH", path=_key(tenant, key_id), json=body, read=lambda response: response.json())


def rotate_key(tenant: str, key_id: str, *, grace_s: float) -> Call[Record]:
    """Replace a key."""
    path = f"{_key(tenant, key_id)}/rotate"
    return Call(method="POST", path=path, json={"grace_s": grace_s}, read=lambda response: response.json())


def revoke_key(tenant: str, key_id: str) -> Call[None]:
    """Revoke a key."""
    return Call(method="DELETE", path=_key(tenant, key_id), read=lambda _: None)


def rewrap_secrets() -> Call[Record]:
    """Have the newest master key open all variables."""
    return Call(method="POST", path="/api/v1/admin/secrets/rewrap", read=lambda response: response.json())


def audit(tenant: str, *, after: int, limit: int) -> Call[Sequence[Record]]:
    """Records of an audit log."""
    params = {"after": after, "limit": limit}
    return Call(method="GET", path=_audit(tenant), params=params, read=lambda response: response.json()["records"])


def audit_export(tenant: str, *, after: int) -> Call[str]:
    """All records of an audit log, one a line."""
    return Call(
        method="GET", path=f"{_audit(tenant)}/export", params={"after": after}, read=lambda response: response.text
    )


def audit_verified(tenant: str) -> Call[Sequence[str]]:
    """What is wrong with an audit log."""
    return Call(method="GET", path=f"{_audit(tenant)}/verify", read=lambda response: response.json()["faults"])


def _audit(tenant: str) -> str:
    return f"/api/v1/admin/audit/{segment(tenant)}" if tenant else "/api/v1/audit"


def _keys(tenant: str) -> str:
    return f"{_TENANTS}/{segment(tenant)}/keys" if tenant else _OWN_KEYS


def _key(tenant: str, key_id: str) -> str:
    return f"{_keys(tenant).rstrip('/')}/{segment(key_id)}"


def preload() -> Call[Record]:
    """What runs had to import, by pool."""
    return Call(method="GET", path=_PRELOAD, read=lambda response: response.json())


def forget_preload() -> Call[Record]:
    """Count that anew."""
    return Call(method="DELETE", path=_PRELOAD, read=lambda response: response.json())

"""Tenants, their keys, what they have used and may use."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class KeyRead(TypedDict):
    """A key, as Langflow's ApiKeyRead with a few fields more. `api_key` is whole only when it has just been made."""

    id: str
    name: str
    api_key: str
    prefix: str
    roles: list[str]
    user_id: str
    tenant: str
    created_at: str | None
    created_by: str
    expires_at: str | None
    last_used_at: str | None
    total_uses: int
    is_active: bool


class KeyList(TypedDict):
    """A tenant's keys."""

    total_count: int
    user_id: str
    api_keys: list[KeyRead]


class TenantRead(TypedDict):
    """A tenant's settings. Times are seconds since the epoch."""

    id: str
    name: str
    state: str
    roles: dict[str, str]
    egress: list[str] | None
    record: bool
    quotas: dict[str, Any]
    budgets: dict[str, Any]
    retention: dict[str, Any]
    created_at: float
    changed_at: float
    revision: str


class TenantList(TypedDict):
    """All tenants."""

    tenants: list[TenantRead]


class TenantRemoved(TypedDict):
    """What went with a tenant."""

    removed: str
    keys_revoked: int
    objects_purged: int


class KeyRevoked(TypedDict):
    """The key that is good for nothing any more."""

    revoked: str


class QuotaNow(TypedDict):
    """What of a quota is taken now."""

    runs: int
    steps: int
    steps_waiting: int
    cpu: float
    memory_mib: int
    gpu: float
    queued: int
    flows: int
    stored_mib: float


class QuotaRead(TypedDict):
    """A tenant's share: what is settled, and what of it is taken."""

    tenant: str
    weight: float
    quota: dict[str, Any]
    rates: dict[str, str]
    now: QuotaNow
    budgets: dict[str, Any]


class UsageRead(TypedDict):
    """What was used: a row for each of the groups asked for, with runs, steps, calls, tokens, times and money."""

    usage: list[dict[str, Any]]

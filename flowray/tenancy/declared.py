"""Tenants as a file declares them, and what would have to change for them to be so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from flowray.errors import InvalidRequestError
from flowray.tenancy.tenant import Tenant, tenant_id
from flowray.tenancy.tenant_settings import settled, tenant_of

Settings = Mapping[str, Any]
_TENANTS_LIMIT = 10_000


@dataclass(frozen=True, kw_only=True)
class TenantChange:
    """What is to be settled for a tenant. `before` are the values now; empty, with `is_new`, for one to be made."""

    tenant: str
    settings: Settings
    before: Settings
    is_new: bool = False
    revision: str = ""


def declared(text: str) -> Mapping[str, Settings]:
    """The settings by tenant that a YAML text declares, below `tenants`; every one is checked."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as cause:
        raise InvalidRequestError(f"The file is not YAML: {' '.join(str(cause).split())}") from cause
    if not isinstance(document, Mapping) or set(document) != {"tenants"}:
        raise InvalidRequestError("The file must have `tenants` at its top, and nothing else.")
    tenants = {} if document["tenants"] is None else document["tenants"]
    if not isinstance(tenants, Mapping) or len(tenants) > _TENANTS_LIMIT:
        raise InvalidRequestError(f"`tenants` must be a mapping by id, of at most {_TENANTS_LIMIT:,}.")
    return {tenant_id(str(name)): _checked(str(name), settings) for name, settings in tenants.items()}


def changes(wanted: Mapping[str, Settings], current: Sequence[Settings]) -> Sequence[TenantChange]:
    """What has to change. What the file does not name, a tenant or a setting, stays as it is."""
    known = {str(record["id"]): tenant_of(record) for record in current}
    found = [_change(name, settings, known.get(name)) for name, settings in wanted.items()]
    return [change for change in found if change is not None]


def shown(change: TenantChange) -> str:
    """A change as a diff shows it."""
    lines = [f"{'+' if change.is_new else '~'} {change.tenant}"]
    for name, value in change.settings.items():
        if not change.is_new:
            lines.append(f"  - {name}: {_flow(change.before[name])}")
        lines.append(f"  + {name}: {_flow(value)}")
    return "\n".join(lines)


def _change(name: str, settings: Settings, now: Tenant | None) -> TenantChange | None:
    if now is None:
        return TenantChange(tenant=name, settings=settings, before={}, is_new=True)
    different = settled(now, settings)
    if not different:
        return None
    before = {field: getattr(now, field) for field in different}
    return TenantChange(tenant=name, settings=different, before=before, revision=now.revision)


def _checked(name: str, settings: Any) -> Settings:
    if settings is not None and not isinstance(settings, Mapping):
        raise InvalidRequestError(f"`tenants.{name[:80]}` must be a mapping of settings.")
    try:
        settled(Tenant(id=tenant_id(name)), settings or {})
    except InvalidRequestError as error:
        raise InvalidRequestError(f"`tenants.{name[:80]}`: {error.message}") from error
    return dict(settings or {})


def _flow(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    text: str = yaml.safe_dump(plain, default_flow_style=True, width=10_000, sort_keys=True)
    return text.removesuffix("\n").removesuffix("\n...")

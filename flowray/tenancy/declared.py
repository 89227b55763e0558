"""Tenants as a file declares them, and what would have to change for them to be so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from flowray.errors import InvalidRequestError
from flowray.tenancy.declared_keys import KeyChange, KeyTerms, declared_keys, key_changes, shown_key
from flowray.tenancy.tenant import Tenant, tenant_id
from flowray.tenancy.tenant_settings import settled, tenant_of

Settings = Mapping[str, Any]
_TENANTS_LIMIT = 10_000


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What a file says of one tenant."""

    settings: Settings = field(default_factory=dict)
    keys: Mapping[str, KeyTerms | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TenantChange:
    """What is to be settled for a tenant. `before` are the values now; empty, with `is_new`, for one to be made."""

    tenant: str
    settings: Settings
    before: Settings
    keys: Sequence[KeyChange] = ()
    is_new: bool = False
    revision: str = ""


def declared(text: str) -> Mapping[str, Declared]:
    """What a YAML text declares below `tenants`, by tenant; all of it is checked."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as cause:
        raise InvalidRequestError(f"The file is not YAML: {' '.join(str(cause).split())}") from cause
    if not isinstance(document, Mapping) or set(document) != {"tenants"}:
        raise InvalidRequestError("The file must have `tenants` at its top, and nothing else.")
    tenants = {} if document["tenants"] is None else document["tenants"]
    if not isinstance(tenants, Mapping) or len(tenants) > _TENANTS_LIMIT:
        raise InvalidRequestError(f"`tenants` must be a mapping by id, of at most {_TENANTS_LIMIT:,}.")
    return {tenant_id(str(name)): _checked(str(name), said) for name, said in tenants.items()}


def changes(
    wanted: Mapping[str, Declared], current: Sequence[Settings], keys: Mapping[str, Sequence[Settings]] | None = None
) -> Sequence[TenantChange]:
    """What has to change. What the file does not name, a tenant, a setting or a key, stays as it is.

    `keys` are those that tenants have now, for each whose keys the file names.
    """
    known = {str(record["id"]): tenant_of(record) for record in current}
    found = [_change(name, one, known.get(name), (keys or {}).get(name, ())) for name, one in wanted.items()]
    return [change for change in found if change is not None]


def shown(change: TenantChange) -> str:
    """A change as a diff shows it."""
    lines = [f"{'+' if change.is_new else '~'} {change.tenant}"]
    for name, value in change.settings.items():
        if not change.is_new:
            lines.append(f"  - {name}: {_flow(change.before[name])}")
        lines.append(f"  + {name}: {_flow(value)}")
    for key in change.keys:
        lines += shown_key(key)
    return "\n".join(lines)


def _change(name: str, wanted: Declared, now: Tenant | None, current: Sequence[Settings]) -> TenantChange | None:
    keys = key_changes(wanted.keys, current)
    if now is None:
        return TenantChange(tenant=name, settings=wanted.settings, before={}, keys=keys, is_new=True)
    different = settled(now, wanted.settings)
    if not different and not keys:
        return None
    before = {setting: getattr(now, setting) for setting in different}
    return TenantChange(tenant=name, settings=different, before=before, keys=keys, revision=now.revision)


def _checked(name: str, said: Any) -> Declared:
    if said is not None and not isinstance(said, Mapping):
        raise InvalidRequestError(f"`tenants.{name[:80]}` must be a mapping of settings.")
    settings = {setting: value for setting, value in (said or {}).items() if setting != "keys"}
    try:
        settled(Tenant(id=tenant_id(name)), settings)
        keys = declared_keys("`keys`", (said or {}).get("keys") or {})
    except InvalidRequestError as error:
        raise InvalidRequestError(f"`tenants.{name[:80]}`: {error.message}") from error
    return Declared(settings=settings, keys=keys)


def _flow(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    text: str = yaml.safe_dump(plain, default_flow_style=True, width=10_000, sort_keys=True)
    return text.removesuffix("\n").removesuffix("\n...")

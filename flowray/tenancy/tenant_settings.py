"""What may be settled for a tenant, read from JSON or YAML: every field checked, an unknown one refused."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, get_args

from flowray.errors import InvalidRequestError
from flowray.flow.hosts import parsed
from flowray.quotas.settled import check_budgets, check_quotas
from flowray.tenancy.permissions import TENANT_ROLES
from flowray.tenancy.tenant import State, Tenant, tenant_id

_TEXT_LIMIT, _ENTRIES_LIMIT = 300, 1_000


def settled(tenant: Tenant, change: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `tenant` that `change` makes different; `InvalidRequestError` names a field that is wrong."""
    found: dict[str, Any] = {}
    for name, value in change.items():
        read = _READERS.get(name)
        if read is None:
            raise InvalidRequestError(f"`{name[:80]}` is no setting of a tenant.{_nearest(name)}")
        settled_value = read(f"`{name}`", value)
        if settled_value != getattr(tenant, name):
            found[name] = settled_value
    return found


def tenant_of(record: Mapping[str, Any]) -> Tenant:
    """The tenant that a kept record says. What a later version added is passed over."""
    known = {one.name for one in fields(Tenant)}
    said = {name: value for name, value in record.items() if name in known}
    egress = said.get("egress")
    return Tenant(**said | {"id": tenant_id(said["id"]), "egress": None if egress is None else tuple(egress)})


def _text(place: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > _TEXT_LIMIT:
        raise InvalidRequestError(f"{place} must be a text of at most {_TEXT_LIMIT} characters.")
    return value


def _state(place: str, value: Any) -> str:
    if value not in get_args(State):
        raise InvalidRequestError(f"{place} must be one of {', '.join(get_args(State))}.")
    return str(value)


def _switch(place: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequestError(f"{place} must be true or false.")
    return value


def _mapping(place: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or len(value) > _ENTRIES_LIMIT or not all(isinstance(key, str) for key in value):
        raise InvalidRequestError(f"{place} must be a mapping with names, of at most {_ENTRIES_LIMIT} entries.")
    return dict(value)


def _roles(place: str, value: Any) -> Mapping[str, Any]:
    mapping = _mapping(place, value)
    for claim, role in mapping.items():
        if role not in TENANT_ROLES:
            raise InvalidRequestError(f"{place}: `{claim[:80]}` must give one of {', '.join(TENANT_ROLES)}.")
    return mapping


def _egress(place: str, value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) > _ENTRIES_LIMIT:
        raise InvalidRequestError(f"{place} must be a list of at most {_ENTRIES_LIMIT} hosts, or null.")
    hosts = [_text(f"{place}[{index}]", host) for index, host in enumerate(value)]
    return tuple(map(str, parsed(hosts)))


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "name": _text,
    "state": _state,
    "roles": _roles,
    "egress": _egress,
    "record": _switch,
    "quotas": lambda place, value: check_quotas(place.strip("`"), _mapping(place, value)),
    "budgets": lambda place, value: check_budgets(place.strip("`"), _mapping(place, value)),
    "retention": _mapping,
}


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, _READERS, n=1)
    return f" Did you mean `{near[0]}`?" if near else f" There are {', '.join(_READERS)}."

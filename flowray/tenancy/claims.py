"""What a token's claims say in our words: which tenant, and which roles there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowray.errors import ForbiddenError
from flowray.tenancy.permissions import TENANT_ROLES
from flowray.tenancy.principal import Principal, Role
from flowray.tenancy.tenant import Tenant

_NAMED: Mapping[str, Role] = {role: role for role in TENANT_ROLES}
_SUBJECT_LIMIT_CHARS = 100


@dataclass(frozen=True, kw_only=True)
class ClaimRules:
    """Where an issuer's claims say what: a path of names, apart by dots.

    `operator` is the role value that makes an operator. `tenants` are the only ones that the issuer speaks for; empty,
    it speaks for all. `issuer` is its name here: two issuers may give the same subject to different people.
    """

    tenant: str = "tenant"
    roles: str = "roles"
    operator: str | None = None
    tenants: frozenset[str] = frozenset()
    issuer: str = ""


def tenant_in(claims: Mapping[str, Any], rules: ClaimRules) -> str | None:
    """The id of the tenant that the claims name, if their issuer may speak for it."""
    named = _at(claims, rules.tenant)
    if not isinstance(named, str) or (rules.tenants and named not in rules.tenants):
        return None
    return named


def is_operator(claims: Mapping[str, Any], rules: ClaimRules) -> bool:
    """Whether the bearer sees to all tenants."""
    return rules.operator is not None and rules.operator in _values(claims, rules)


def principal_of(claims: Mapping[str, Any], tenant: Tenant, rules: ClaimRules) -> Principal:
    """Whoever bears the claims; `ForbiddenError` when they give no role.

    A value of the role claim counts as the tenant's settings say, else as the role of that name.
    """
    given = {tenant.roles.get(value) or _NAMED.get(value) for value in _values(claims, rules)}
    roles: set[Role] = {role for role in given if role is not None}
    if is_operator(claims, rules):
        roles.add("operator")
    if not roles:
        raise ForbiddenError(f"The token gives no role in the tenant `{tenant.id}`.")
    subject = str(claims.get("sub", ""))[:_SUBJECT_LIMIT_CHARS]
    return Principal(tenant=tenant.id, roles=frozenset(roles), key=subject, key_id=f"sub{_at_issuer(rules)}:{subject}")


def _at_issuer(rules: ClaimRules) -> str:
    return f"@{rules.issuer}" if rules.issuer else ""


def _values(claims: Mapping[str, Any], rules: ClaimRules) -> frozenset[str]:
    return frozenset(_texts(_at(claims, rules.roles)))


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield from value.split()  # as OAuth writes scopes
        case list():
            yield from (one for one in value if isinstance(one, str))


def _at(claims: Mapping[str, Any], place: str) -> Any:
    # A claim may have dots in its own name, as those do that are URLs.
    found: Any = claims.get(place)
    if found is not None:
        return found
    found = claims
    for name in place.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found

"""The keys of a tenant as a file declares them, by name: which there are to be, with which roles, and until when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from flowray.errors import InvalidRequestError
from flowray.tenancy.keyring import NAME_LIMIT_CHARS
from flowray.tenancy.permissions import TENANT_ROLES

_KEYS_LIMIT = 1_000


@dataclass(frozen=True, kw_only=True)
class KeyTerms:
    """What a key may, and when it ends (ISO 8601, UTC); None: never."""

    roles: tuple[str, ...]
    expires_at: str | None = None


@dataclass(frozen=True, kw_only=True)
class KeyChange:
    """A key to be made (no `id`), to be settled otherwise, or, without `after`, to be revoked."""

    name: str
    id: str = ""
    before: KeyTerms | None = None
    after: KeyTerms | None = None


def declared_keys(place: str, value: Any) -> Mapping[str, KeyTerms | None]:
    """The keys by name that a file declares; None of one that is to be gone."""
    if not isinstance(value, Mapping) or len(value) > _KEYS_LIMIT:
        raise InvalidRequestError(f"{place} must be a mapping by name, of at most {_KEYS_LIMIT:,}.")
    return {_name(place, name): _terms(f"{place}.{name}", terms) for name, terms in value.items()}


def key_changes(wanted: Mapping[str, KeyTerms | None], current: Sequence[Mapping[str, Any]]) -> Sequence[KeyChange]:
    """What has to change; keys that the file does not name stay. Several keys of one name are all held to it."""
    found: list[KeyChange] = []
    for name, after in wanted.items():
        there = [key for key in current if key["name"] == name]
        if not there and after is not None:
            found.append(KeyChange(name=name, after=after))
        for key in there:
            before = KeyTerms(roles=tuple(sorted(key["roles"])), expires_at=key["expires_at"])
            if before != after:
                found.append(KeyChange(name=name, id=str(key["id"]), before=before, after=after))
    return found


def shown_key(change: KeyChange) -> Sequence[str]:
    """A change as a diff shows it."""
    lines = [(sign, terms) for sign, terms in (("-", change.before), ("+", change.after)) if terms is not None]
    return [f"  {sign} keys.{change.name}: {_flow(terms)}" for sign, terms in lines]


def _name(place: str, name: Any) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= NAME_LIMIT_CHARS:
        raise InvalidRequestError(f"{place}: a key's name is a text of at most {NAME_LIMIT_CHARS} characters.")
    return name


def _terms(place: str, value: Any) -> KeyTerms | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or set(value) - {"roles", "expires_at"} or not value.get("roles"):
        raise InvalidRequestError(f"{place} must have `roles`, may have `expires_at`, and nothing else; null revokes.")
    roles = value["roles"]
    if not isinstance(roles, list) or not all(role in TENANT_ROLES for role in roles):
        raise InvalidRequestError(f"{place}.roles must be a list of {', '.join(TENANT_ROLES)}.")
    return KeyTerms(roles=tuple(sorted(set(roles))), expires_at=_moment(place, value.get("expires_at")))


def _moment(place: str, value: Any) -> str | None:
    if value is None:
        return None
    try:
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        at = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError) as cause:
        raise InvalidRequestError(f"{place}.expires_at must be a day or a time, such as 2027-01-31.") from cause
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0).isoformat()


def _flow(terms: KeyTerms) -> str:
    until = f", expires_at: {terms.expires_at}" if terms.expires_at else ""
    return f"{{roles: [{', '.join(terms.roles)}]{until}}}"

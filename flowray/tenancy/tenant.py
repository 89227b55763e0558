"""Who owns flows, keys and runs, and what is settled for them. The id is in every key, path and log line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from flowray.errors import InvalidRequestError
from flowray.tenancy.principal import Role

DEFAULT_TENANT = "default"
State = Literal["active", "suspended"]

_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """A tenant's settings.

    `roles` says which role a value of a token's role claim gives. `egress` are the hosts its runs may reach, None
    for all that the pools allow. `record` is whether runs of flows that say nothing of it are recorded. `quotas`,
    `budgets` and `retention` belong to those who enforce them. `revision` is another one after every change.
    """

    id: str
    name: str = ""
    state: State = "active"
    roles: Mapping[str, Role] = field(default_factory=dict)
    egress: tuple[str, ...] | None = None
    record: bool = False
    quotas: Mapping[str, Any] = field(default_factory=dict)
    budgets: Mapping[str, Any] = field(default_factory=dict)
    retention: Mapping[str, Any] = field(default_factory=dict)
    created_at: float = 0.0
    changed_at: float = 0.0
    revision: str = ""

    @property
    def is_active(self) -> bool:
        """Whether anybody may do anything in its name."""
        return self.state == "active"

    def as_json(self) -> dict[str, Any]:
        """The record that is kept."""
        return asdict(self)


def tenant_id(text: str) -> str:
    """`text` if it can be a tenant's id: it has to be one word in paths, Redis keys, metrics and host names."""
    if _ID.fullmatch(text) is None:
        raise InvalidRequestError(
            f"`{text[:80]}` cannot be a tenant: its id has small letters, digits and, within, `-`; at most 63."
        )
    return text

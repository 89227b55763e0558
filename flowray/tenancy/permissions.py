"""What may be done, and by whom. A role may do what every role before it may, and more; one role stands apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from flowray.errors import ForbiddenError
from flowray.tenancy.principal import Principal, Role


class Permission(StrEnum):
    """What a route needs of its caller."""

    FLOWS_READ = "flows.read"
    RUNS_READ = "runs.read"
    FILES_READ = "files.read"
    USAGE_READ = "usage.read"
    METRICS_READ = "metrics.read"
    RUNS_START = "runs.start"
    RUNS_STOP = "runs.stop"
    FILES_WRITE = "files.write"
    CHATS_WRITE = "chats.write"
    FLOWS_WRITE = "flows.write"
    VARIABLES_READ = "variables.read"
    VARIABLES_WRITE = "variables.write"
    KEYS = "keys"
    AUDIT_READ = "audit.read"
    SETTINGS_READ = "settings.read"
    SETTINGS_WRITE = "settings.write"
    OPERATE = "operate"
    METRICS_OF_ALL = "metrics.of_all"


_P = Permission
_ADDED: Mapping[Role, frozenset[Permission]] = {
    "viewer": frozenset({_P.FLOWS_READ, _P.RUNS_READ, _P.FILES_READ, _P.USAGE_READ, _P.METRICS_READ}),
    "runner": frozenset({_P.RUNS_START, _P.RUNS_STOP, _P.FILES_WRITE, _P.CHATS_WRITE}),
    "editor": frozenset({_P.FLOWS_WRITE, _P.VARIABLES_READ}),
    "admin": frozenset({_P.VARIABLES_WRITE, _P.KEYS, _P.AUDIT_READ, _P.SETTINGS_READ, _P.SETTINGS_WRITE}),
    "operator": frozenset({_P.OPERATE, _P.METRICS_OF_ALL}),
}
LADDER = tuple(_ADDED)
# For what is no person: it gets a key that is worth little to a thief.
_APART: Mapping[Role, frozenset[Permission]] = {"observer": frozenset({_P.METRICS_READ, _P.METRICS_OF_ALL})}
ROLES = (*LADDER, *_APART)
# What may be given within a tenant: nobody's claims, settings or files make an operator.
TENANT_ROLES = tuple(role for role in LADDER if role != "operator")
_GIVEN: Mapping[Role, frozenset[Permission]] = {
    **{role: frozenset().union(*(_ADDED[less] for less in LADDER[: rank + 1])) for rank, role in enumerate(LADDER)},
    **_APART,
}


def allows(roles: Iterable[Role], permission: Permission) -> bool:
    """Whether one of the roles may do this."""
    return any(permission in _GIVEN[role] for role in roles)


def require(caller: Principal, permission: Permission) -> None:
    """Nothing where the caller may do this; else `ForbiddenError`, with the role that it takes."""
    if not allows(caller.roles, permission):
        has = ", ".join(sorted(caller.roles)) or "none"
        raise ForbiddenError(f"`{permission}` takes the role {smallest_role(permission)}; this caller's is {has}.")


def smallest_role(permission: Permission) -> Role:
    """The role that it takes."""
    return next(role for role in LADDER if permission in _ADDED[role])


def exceeds(roles: Iterable[Role], than: Iterable[Role]) -> bool:
    """Whether `roles` may do something that `than` may not."""
    return bool(_all_given(roles) - _all_given(than))


def _all_given(roles: Iterable[Role]) -> frozenset[Permission]:
    return frozenset().union(*(_GIVEN[role] for role in roles))

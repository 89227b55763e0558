"""What a route says of itself: which permission it takes, or that it is open to all. To say neither is an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flowray.errors import FlowRayError
from flowray.tenancy.permissions import Permission

F = TypeVar("F")
_MARK = "__flowray_needs__"
_ONLY_TELLS = "__flowray_only_tells__"


class UndeclaredRouteError(FlowRayError):
    """A route says not who may use it."""

    code = "route_undeclared"


def needs(permission: Permission, *, only_tells: bool = False) -> Callable[[F], F]:
    """Let only those through to an endpoint who have this permission.

    One that `only_tells`, whatever its method and permission look like, changes nothing that goes on record.
    """

    def mark(endpoint: F) -> F:
        setattr(endpoint, _MARK, permission)
        setattr(endpoint, _ONLY_TELLS, only_tells)
        return endpoint

    return mark


def open_to_all(endpoint: F) -> F:
    """Let everybody through, with or without a key: for what says nothing of any tenant."""
    setattr(endpoint, _MARK, None)
    return endpoint


def declared(endpoint: object, path: str) -> Permission | None:
    """What an endpoint needs; None when it is open to all."""
    if not hasattr(endpoint, _MARK):
        raise UndeclaredRouteError(
            f"The route {path} says not who may use it: mark its endpoint with `needs(Permission...)`."
        )
    permission: Permission | None = getattr(endpoint, _MARK)
    return permission


def only_tells(endpoint: object) -> bool:
    """Whether an endpoint has said that it changes nothing."""
    return bool(getattr(endpoint, _ONLY_TELLS, False))

"""What of a request goes on record: what changes something, done or refused, and everything that operators ask for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Protocol

from starlette.requests import HTTPConnection
from starlette.types import Scope

from flowray.tenancy.act import SERVICE, Act
from flowray.tenancy.permissions import Permission
from flowray.tenancy.principal import Principal

_OBJECT = "flowray.object"
_LENGTH_LIMIT = 200
_P = Permission
# Runs have journals of their own, and there are many of them.
_NOT_ON_RECORD = frozenset({_P.RUNS_START, _P.CHATS_WRITE})


class Noting(Protocol):
    """Where acts are noted."""

    def require_room(self) -> None:
        """Raise when an act could not be noted."""

    def note(self, act: Act) -> None:
        """Put an act on record."""


class Auditor:
    """Puts requests on record. `runs` has the starts of runs there too."""

    def __init__(self, audit: Noting, *, runs: bool = False, clock: Callable[[], float] = time.time) -> None:
        self._audit = audit
        self._passed_over = frozenset() if runs else _NOT_ON_RECORD
        self._clock = clock

    def is_due(self, scope: Scope, permission: Permission) -> bool:
        """Whether the request goes on record; raises when it should and could not."""
        reads = scope.get("method", "GET") in ("GET", "HEAD") and permission is not Permission.AUDIT_READ
        if reads or permission in self._passed_over:
            return False
        self._audit.require_room()
        return True

    def note(self, scope: Scope, caller: Principal, permission: Permission, *, status: int, source: str) -> None:
        """Put a request on record, with how it was answered."""
        connection = HTTPConnection(scope)
        self._audit.note(
            Act(
                at=self._clock(),
                tenant=SERVICE if permission is Permission.OPERATE else caller.tenant,
                who=f"{caller.tenant}/{caller.key}",
                key=caller.key_id,
                action=permission.value,
                route=f"{scope.get('method', 'GET')} {scope['path'][:_LENGTH_LIMIT]}",
                object={**_cut(connection.path_params), **scope.get(_OBJECT, {})},
                source=source,
                status=status,
                result=_result(status),
            )
        )


def on_record(connection: HTTPConnection, **names: str) -> None:
    """Say which object a request is about, when its path does not: the id of a new one, for instance."""
    known: dict[str, str] = connection.scope.setdefault(_OBJECT, {})
    known.update(_cut(names))


def _cut(names: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value)[:_LENGTH_LIMIT] for name, value in names.items()}


def _result(status: int) -> str:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS):
        return "refused"
    if status >= HTTPStatus.BAD_REQUEST:
        return "failed"
    return "done"

"""Whether an error comes from a provider that may be well again soon: it refuses for now, fails, or does not answer.

Told by what HTTP clients have in common, not by their classes: a status on the error or on its response, and names that
speak of time or of connections.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from typing import Any

_TOO_MANY = 429
_SERVER_ERRORS = range(500, 600)
_DEEPEST = 12
_UNREACHABLE = re.compile(
    r"Timeout|TimedOut|(Connect|Connection|Network|Protocol|Read|Write)Error|ServerDisconnected|ConnectionReset"
)
_UNCONNECTED = re.compile(r"(Connect|Connection|NameResolution)Error")


def trouble_of(error: BaseException) -> str:
    """The engine's name for a provider's trouble; nothing for all other errors."""
    chain = list(_chain(error))
    for one in chain:
        status = _status_of(one)
        if status == _TOO_MANY:
            return "rate_limit"
        if status in _SERVER_ERRORS:
            return "server_error"
        if status is None and _UNREACHABLE.search(type(one).__name__):
            return "timeout" if _may_be_reached(chain) else ""
    return ""


def has_no_way_out(error: BaseException) -> bool:
    """Whether it comes from a connection that was tried where none is allowed at all."""
    return not _has_way_out() and any(
        isinstance(one, ConnectionError | socket.gaierror) or _UNCONNECTED.search(type(one).__name__)
        for one in _chain(error)
    )


def _has_way_out() -> bool:
    return "HTTPS_PROXY" in os.environ


def _may_be_reached(chain: list[BaseException]) -> bool:
    """Whether asking again may help: it does not where there is no way out, nor when the gate refused the host."""
    return _has_way_out() and not any("ProxyError" in type(one).__name__ for one in chain)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those it was raised from or instead of."""
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < _DEEPEST:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = list(one.exceptions) if isinstance(one, BaseExceptionGroup) else []
        waiting += [*inner, one.__cause__, None if one.__suppress_context__ else one.__context__]


def _status_of(error: Any) -> int | None:
    for owner in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            value = getattr(owner, name, None)
            if type(value) is int:
                return value
    return None

"""What a caller says in headers of how its run shall be answered: at once, later, and where to."""

from __future__ import annotations

import re

from starlette.requests import Request

from flowray.errors import InvalidRequestError
from flowray_serve.queueing.acceptance import Idempotency

_WAIT = re.compile(r"\bwait=(\d{1,5})\b")
_KEY_LIMIT_CHARS = 255
IDEMPOTENCY_HEADER = "idempotency-key"
CALLBACK_HEADER = "x-flowray-callback"


def respond_async(request: Request) -> float | None:
    """How long the caller waits before it wants a 202 (RFC 7240); None when it did not ask for that."""
    wanted = ",".join(request.headers.getlist("prefer"))
    if "respond-async" not in wanted:
        return None
    waits = _WAIT.search(wanted)
    return float(waits[1]) if waits else float("inf")


def idempotency_of(request: Request, *asked: bytes | str, key: str | None = None) -> Idempotency | None:
    """The caller's own name for this request, from the body's `key` or the header."""
    key = key or request.headers.get(IDEMPOTENCY_HEADER)
    if key is not None and len(key) > _KEY_LIMIT_CHARS:
        raise InvalidRequestError(f"An idempotency key has at most {_KEY_LIMIT_CHARS} characters.")
    return Idempotency.of(key, *asked)


def callback_of(request: Request, *, url: str | None = None) -> str | None:
    """Where the caller wants to be told of the end, from the body's `url` or the header."""
    return url or request.headers.get(CALLBACK_HEADER)

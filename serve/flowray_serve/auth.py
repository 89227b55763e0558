"""Who calls: the API key in `x-api-key`, as header or query parameter, names a tenant."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from starlette.requests import Request

from flowray.errors import UnauthorizedError

_MISSING = "An API key must be passed as the header `x-api-key` or the query parameter of that name."
_UNKNOWN = "Invalid or missing API key."
_KEY_LIMIT_CHARS = 512


class Caller(Protocol):
    """Whom a key belongs to."""

    @property
    def tenant(self) -> str:
        """The tenant's name, which is in every key and path."""


class Callers(Protocol):
    """The keys that are known, by their SHA-256 only."""

    async def caller(self, key_digest: str) -> Caller | None:
        """Whom the key with this digest (hex) belongs to."""


class Authenticator:
    """Asks for each key once in `keep_s` seconds, which is also how long a revoked key may still work."""

    def __init__(
        self,
        callers: Callers,
        *,
        keep_s: float = 5.0,
        capacity: int = 4096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._callers = callers
        self._keep_s = keep_s
        self._capacity = capacity
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()

    async def __call__(self, request: Request) -> Caller:
        """The caller; `UnauthorizedError` without a key that is known."""
        key = request.headers.get("x-api-key") or request.query_params.get("x-api-key")
        if not key:
            raise UnauthorizedError(_MISSING)
        if len(key) > _KEY_LIMIT_CHARS:
            raise UnauthorizedError(_UNKNOWN)
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape"))
        known = self._known.get(digest.digest())
        if known is not None and known[1] > self._clock():
            return known[0]
        return await self._ask(digest.digest(), digest.hexdigest())

    async def _ask(self, short: bytes, digest: str) -> Caller:
        self._known.pop(short, None)
        caller = await self._callers.caller(digest)
        if caller is None:
            raise UnauthorizedError(_UNKNOWN)
        self._known[short] = (caller, self._clock() + self._keep_s)
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)
        return caller

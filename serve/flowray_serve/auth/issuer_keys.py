"""The keys that an OpenID Connect issuer signs with: found by discovery, kept for a while, asked for again when new."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from flowray.errors import FlowRayError

log = logging.getLogger(__name__)

_DISCOVERY = "/.well-known/openid-configuration"
_DOCUMENT_LIMIT_BYTES = 256 * 1024
_PATIENCE_S = 5.0

Fetch = Callable[[str], Awaitable[bytes]]


class IssuerUnavailableError(FlowRayError):
    """The issuer's keys cannot be had, so no token can be trusted."""

    code = "issuer_unavailable"
    status = 503


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """How long keys are used without asking, how long at most when asking fails, and how soon to ask for a new key."""

    keep_s: float = 300.0
    stale_s: float = 900.0
    again_s: float = 5.0


class IssuerKeys:
    """An issuer's keys. `jwks_url` saves the discovery."""

    def __init__(
        self,
        issuer: str,
        *,
        fetch: Fetch,
        jwks_url: str | None = None,
        freshness: Freshness | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._jwks_url = jwks_url
        self._freshness = freshness or Freshness()
        self._clock = clock
        self._keys: KeySet | None = None
        self._had_at = self._asked_at = float("-inf")
        self._one_asks = asyncio.Lock()

    async def current(self) -> KeySet:
        """The keys; `IssuerUnavailableError` when there are none that can be trusted."""
        if self._keys is not None and self._age_s < self._freshness.keep_s:
            return self._keys
        async with self._one_asks:
            if self._keys is None or self._age_s >= self._freshness.keep_s:
                await self._ask()
        if self._keys is None or self._age_s >= self._freshness.stale_s:
            raise IssuerUnavailableError(f"The keys of the issuer {self._issuer} cannot be had. Ask again.")
        return self._keys

    async def renewed(self) -> KeySet:
        """The keys as they are now, for a token of a key that is not known; asked for only so often."""
        async with self._one_asks:
            await self._ask()
        return await self.current()

    @property
    def _age_s(self) -> float:
        return self._clock() - self._had_at

    async def _ask(self) -> None:
        if self._clock() - self._asked_at < self._freshness.again_s:
            return
        self._asked_at = self._clock()
        try:
            self._keys = KeySet.import_key_set(await self._key_set())
        except (httpx.HTTPError, JoseError, ValueError, LookupError, TypeError) as error:
            log.warning("Issuer's keys not had", extra={"action": "issuer_failed", "reason": str(error)[:300]})
        else:
            self._had_at = self._clock()

    async def _key_set(self) -> Any:
        url = self._jwks_url
        if url is None:
            found = orjson.loads(await self._fetch(self._issuer.rstrip("/") + _DISCOVERY))
            if found["issuer"] != self._issuer:
                raise ValueError(f"the document says that it is of {str(found['issuer'])[:100]}")
            url = str(found["jwks_uri"])
        return orjson.loads(await self._fetch(url))


async def fetched(url: str) -> bytes:
    """A small document of the web; redirects are not followed."""
    async with httpx.AsyncClient(timeout=_PATIENCE_S) as http, http.stream("GET", url) as response:
        response.raise_for_status()
        content = b""
        async for part in response.aiter_bytes():
            content += part
            if len(content) > _DOCUMENT_LIMIT_BYTES:
                raise ValueError(f"more than {_DOCUMENT_LIMIT_BYTES:,} bytes")
        if not response.is_success:
            raise ValueError(f"status {response.status_code}")
        return content

"""Sends callbacks, and only to where they may go: the address that is connected to is the address that was checked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from urllib.parse import SplitResult, urlsplit

import httpx

from flowray.errors import InvalidRequestError
from flowray.sandbox.policy import Policy, is_address, is_public
from flowray_serve.queueing.callbacks import CallbackRefusedError

_PORTS = {"https": 443, "http": 80}


class CallbackUrlError(InvalidRequestError):
    """The callback's URL is none that could be told."""

    code = "callback_url"


class VettedPost:
    """Posts to public addresses, and to the hosts that the operator listed as `private`. Redirects are not followed."""

    def __init__(self, private: Sequence[str] = (), *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._policy = Policy(tuple(private), tuple(private))
        self._http = httpx.AsyncClient(transport=transport, trust_env=False)

    async def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """See `Post`."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        address = await self._vetted(host, port)
        target = parts._replace(netloc=f"[{address}]:{port}" if ":" in address else f"{address}:{port}")
        named = {**headers, "host": parts.netloc.rpartition("@")[2]}
        try:
            # The body of the answer is never read: nobody asked what the other side has to say.
            async with self._http.stream(
                "POST", target.geturl(), content=body, headers=named, extensions={"sni_hostname": host}
            ) as response:
                return response.status_code
        except httpx.HTTPError as cause:
            raise CallbackRefusedError(f"`{host}` cannot be reached: {cause or type(cause).__name__}") from cause

    async def close(self) -> None:
        """End all connections."""
        await self._http.aclose()

    async def _vetted(self, host: str, port: int) -> str:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as cause:
            raise CallbackRefusedError(f"`{host}` has no address: {cause}") from cause
        addresses = [str(one[4][0]) for one in found]
        if not addresses:
            raise CallbackRefusedError(f"`{host}` has no address.")
        if self._policy.may_be_private(host, port) or all(is_public(address) for address in addresses):
            return addresses[0]
        raise CallbackRefusedError(f"`{host}` is on a private network, and the operator has not listed it.")


def checked_url(url: str | None, *, private: Sequence[str] = ()) -> str | None:
    """`url`, when a callback can go there; refused at once, while somebody reads it, is what never could."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as cause:
        raise CallbackUrlError(f"The callback's URL cannot be read: {cause}.") from cause
    _require_fit(parts)
    listed = Policy(tuple(private), tuple(private)).may_be_private(parts.hostname or "", port)
    if not listed and (parts.scheme != "https" or is_address(parts.hostname or "")):
        raise CallbackUrlError(
            "A callback goes to an `https://` URL with a host's name; others the operator must list."
        )
    return url


def _require_fit(parts: SplitResult) -> None:
    if parts.scheme not in _PORTS or not parts.hostname:
        raise CallbackUrlError("A callback's URL begins with `https://` and a host.")
    if parts.username or parts.password:
        raise CallbackUrlError("A callback's URL has no name and password in it; its signature says who sends.")

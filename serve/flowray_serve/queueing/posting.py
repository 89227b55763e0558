"""Sends callbacks, and only to where they may go: the address that is connected to is the address that was checked."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Mapping, Sequence

import httpx

from flowray.errors import InvalidRequestError
from flowray.sandbox.policy import Policy, is_address, is_public
from flowray_serve.queueing.callbacks import CallbackRefusedError

_PORTS = {"https": 443, "http": 80}
_LAST_PORT = 65_535
# What resolvers and certificates take: Python's resolver breaks on an empty part, and on a longer one.
_NAME = re.compile(r"(?=.{1,254}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")


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
        to = _read(url)
        host, port = _host_and_port(to)
        address = await self._vetted(host, port)
        named = {**headers, "host": to.netloc.decode("ascii")}
        try:
            target = to.copy_with(host=address, port=port)
            # The body of the answer is never read: nobody asked what the other side has to say.
            async with self._http.stream(
                "POST", target, content=body, headers=named, extensions={"sni_hostname": host}
            ) as response:
                return response.status_code
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as cause:
            raise CallbackRefusedError(f"`{host}` cannot be reached: {cause or type(cause).__name__}") from cause

    async def close(self) -> None:
        """End all connections."""
        await self._http.aclose()

    async def _vetted(self, host: str, port: int) -> str:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as cause:
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
    to = _read(url)
    _require_fit(to)
    host, port = _host_and_port(to)
    listed = Policy(tuple(private), tuple(private)).may_be_private(host, port)
    if not listed and (to.scheme != "https" or is_address(host)):
        raise CallbackUrlError(
            "A callback goes to an `https://` URL with a host's name; others the operator must list."
        )
    return url


def _read(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as cause:
        raise CallbackUrlError(f"The callback's URL cannot be read: {cause}.") from cause


def _host_and_port(url: httpx.URL) -> tuple[str, int]:
    """The host as resolvers take it: of `bücher.de`, `xn--bcher-kva.de`."""
    port = _PORTS.get(url.scheme, 0) if url.port is None else url.port
    return url.raw_host.decode("ascii"), port


def _require_fit(url: httpx.URL) -> None:
    host, port = _host_and_port(url)
    if url.scheme not in _PORTS or not host:
        raise CallbackUrlError("A callback's URL begins with `https://` and a host.")
    if url.username or url.password:
        raise CallbackUrlError("A callback's URL has no name and password in it; its signature says who sends.")
    if not 0 < port <= _LAST_PORT or not (_NAME.fullmatch(host) or ":" in host):
        raise CallbackUrlError(
            f"`{host[:80]}:{port}` is no host and port: each part of a name has 1 to 63 letters, digits, `-` or `_`, "
            f"and ports go from 1 to {_LAST_PORT}."
        )

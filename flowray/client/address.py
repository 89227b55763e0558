"""Where a service is, and the key to it: what could not even be sent is refused before anything is."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from flowray.errors import InvalidRequestError, UnauthorizedError

_EXAMPLE = "127.0.0.1:8000"


def service_url(url: str) -> str:
    """The URL, when a client can speak to it."""
    try:
        read = httpx.URL(url)
    except httpx.InvalidURL as cause:
        raise InvalidRequestError(f"`{url[:200]}` is not the URL of a service: {cause}.") from cause
    if read.scheme in ("http", "https") and read.host:
        return url
    host = url.rpartition("://")[2] or _EXAMPLE
    raise InvalidRequestError(f"`{url[:200]}` is not the URL of a service: write http://{host[:200]}.")


def key_headers(key: str) -> Mapping[str, str]:
    """The headers that carry the key; none for none."""
    if not (key.isascii() and key.isprintable() and key == key.strip()):
        raise UnauthorizedError("This is no API key: those have printable ASCII characters only, and no spaces around.")
    return {"x-api-key": key} if key else {}

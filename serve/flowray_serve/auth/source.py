"""Where a request comes from, as those in front say whom we trust to say it."""

from __future__ import annotations

from starlette.requests import HTTPConnection

_UNKNOWN = "unknown"


def source_of(connection: HTTPConnection, *, proxies: int) -> str:
    """The address of whoever called the outermost of the `proxies` in front, each of which appends whom it heard.

    What stands further left in the header was written by the caller, and proves nothing.
    """
    peer = connection.client.host if connection.client else _UNKNOWN
    if proxies == 0:
        return peer
    said = ",".join(connection.headers.getlist("x-forwarded-for")).split(",")
    heard = [address.strip() for address in said if address.strip()]
    return heard[-proxies] if len(heard) >= proxies else peer

"""What a client inside asks of the gate: `CONNECT host:port`, or one plain HTTP request with an absolute address.

Strict on purpose: whatever two programs might read differently is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

END = b"\r\n\r\n"
MOST_BYTES = 16384
_LINE = re.compile(rb"([A-Z]{3,16}) ([\x21-\x7e]{1,8000}) HTTP/1\.[01]\Z")
_AUTHORITY = re.compile(r"([A-Za-z0-9_][A-Za-z0-9._-]{0,252})(?::([0-9]{1,5}))?\Z")
_HEADER = re.compile(rb"([A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}):[ \t]*([\x20-\x7e\x80-\xff\t]*)\Z")
_HOP_BY_HOP = frozenset({b"connection", b"proxy-connection", b"proxy-authorization", b"keep-alive", b"upgrade", b"te"})
_SCHEME = "http://"


class BadRequestError(ValueError):
    """The request is not one that the gate takes; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where to connect. For a plain request also what to send there first, and how much of a body follows."""

    host: str
    port: int
    head: bytes = b""
    body_bytes: int = 0

    @property
    def tunnel(self) -> bool:
        """Whether bytes go both ways as they come."""
        return not self.head


def parse(head: bytes) -> Target:
    """Read a request's head, without the empty line at its end."""
    first, *lines = head.split(b"\r\n")
    line = _LINE.match(first)
    if line is None:
        raise BadRequestError("not an HTTP request")
    method, where = line[1].decode(), line[2].decode()
    headers = [_header(text) for text in lines]
    if method == "CONNECT":
        host, port = _authority(where, None)
        return Target(host=host, port=port)
    return _plain(method, where, headers)


def _plain(method: str, where: str, headers: list[tuple[bytes, bytes]]) -> Target:
    if not where.lower().startswith(_SCHEME):
        raise BadRequestError("only http:// addresses; others by CONNECT")
    authority, slash, path = where[len(_SCHEME) :].partition("/")
    if "?" in authority or "#" in authority:
        raise BadRequestError("an address without a path")
    host, port = _authority(authority, 80)
    names = [name.lower() for name, _ in headers]
    if b"transfer-encoding" in names or names.count(b"content-length") > 1:
        raise BadRequestError("a body needs one Content-Length")
    named = f"{host}:{port}" if port != 80 else host  # noqa: PLR2004 - the port of http
    kept = [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP | {b"host"}]
    sent = [(b"Host", named.encode()), *kept, (b"Connection", b"close")]
    text = f"{method} {slash or '/'}{path} HTTP/1.1\r\n".encode()
    return Target(
        host=host,
        port=port,
        head=text + b"".join(name + b": " + value + b"\r\n" for name, value in sent) + b"\r\n",
        body_bytes=_length(dict(zip(names, (value for _, value in headers), strict=True)).get(b"content-length", b"0")),
    )


def _authority(text: str, default: int | None) -> tuple[str, int]:
    found = _AUTHORITY.match(text)
    if found is None:
        raise BadRequestError("not a host and a port")
    port = int(found[2]) if found[2] else default
    if port is None or not 0 < port < 1 << 16:
        raise BadRequestError("no port")
    return found[1].lower().removesuffix("."), port


def _header(line: bytes) -> tuple[bytes, bytes]:
    found = _HEADER.match(line)
    if found is None:
        raise BadRequestError("a header that cannot be read")
    return found[1], found[2].strip()


def _length(value: bytes) -> int:
    if not value.isdigit() or len(value) > 15:  # noqa: PLR2004 - a petabyte
        raise BadRequestError("a Content-Length that is no number")
    return int(value)

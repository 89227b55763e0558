"""The host name that a TLS client asks for, read from its first message.

The gate lets a connection go to a host; the name in here decides which of the sites on that host answers.
"""

from __future__ import annotations

HANDSHAKE = 0x16
_CLIENT_HELLO, _SERVER_NAME, _HOST_NAME = 1, 0, 0
_RECORD_HEADER, _MESSAGE_HEADER = 5, 4
_LONGEST_RECORD, _LONGEST_HELLO = 16384, 65536


class NotClientHelloError(ValueError):
    """The bytes are no TLS client hello."""


def server_name(received: bytes | bytearray) -> str | None:
    """The name, '' when the client names none, None when more bytes are needed."""
    message = _message(received)
    if message is None:
        return None
    try:
        return _name_in(_Reader(message))
    except IndexError as cause:
        raise NotClientHelloError("a client hello that ends too early") from cause


def _message(received: bytes | bytearray) -> bytes | None:
    """The client hello, put together from the records that it came in."""
    message, position = bytearray(), 0
    while len(received) - position >= _RECORD_HEADER:
        kind, major = received[position], received[position + 1]
        length = int.from_bytes(received[position + 3 : position + 5], "big")
        if kind != HANDSHAKE or major != 3 or not 0 < length <= _LONGEST_RECORD:  # noqa: PLR2004 - of all TLS versions
            raise NotClientHelloError("not a TLS handshake")
        position += _RECORD_HEADER
        message += received[position : position + length]
        position += length
        if len(message) >= _MESSAGE_HEADER:
            size = _MESSAGE_HEADER + int.from_bytes(message[1:4], "big")
            if message[0] != _CLIENT_HELLO or size > _LONGEST_HELLO:
                raise NotClientHelloError("not a client hello")
            if len(message) >= size:
                return bytes(message[_MESSAGE_HEADER:size])
    if received and received[0] != HANDSHAKE:
        raise NotClientHelloError("not a TLS handshake")
    return None


class _Reader:
    """Takes fields off the front of a message; IndexError at its end."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    @property
    def left(self) -> int:
        return len(self._content) - self._position

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise IndexError
        self._position += size
        return self._content[self._position - size : self._position]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def block(self, size: int) -> _Reader:
        """A block that says its own length, in a field of this size."""
        return _Reader(self.take(self.number(size)))


def _name_in(hello: _Reader) -> str:
    hello.take(2 + 32)
    hello.block(1)
    hello.block(2)
    hello.block(1)
    names = []
    extensions = hello.block(2) if hello.left else _Reader(b"")
    while extensions.left:
        kind, content = extensions.number(2), extensions.block(2)
        if kind == _SERVER_NAME:
            names += _names(content.block(2))
    if len(names) > 1:
        raise NotClientHelloError("several server names")
    return names[0] if names else ""


def _names(entries: _Reader) -> list[str]:
    names = []
    while entries.left:
        kind, name = entries.number(1), entries.block(2)
        if kind != _HOST_NAME:
            raise NotClientHelloError("a server name of an unknown kind")
        try:
            names.append(name.take(name.left).decode("ascii").lower().removesuffix("."))
        except UnicodeDecodeError as cause:
            raise NotClientHelloError("a server name that is not ASCII") from cause
    return names

"""What reads a stranger's bytes on the trusted side, and what must hold whatever the bytes are.

Each target has honest inputs to start from, and a check that raises when a promise is broken: an exception of another
kind than the reader's own, an answer that depends on how the bytes were cut, something in it that was not let in.
"""

from __future__ import annotations

import contextlib
import random
import re
import ssl
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flowray.errors import ChannelError
from flowray.runner.claims import Claims, Unstored
from flowray.runner.frames import BLOB, ERROR, EVENT, HEARTBEAT, PART, RESULT, Caps, Frame, FrameDecoder, frame
from flowray.runner.masking import Mask
from flowray.sandbox.client_hello import NotClientHelloError, server_name
from flowray.sandbox.proxy_request import BadRequestError, Target, parse

Check = Callable[[bytes, random.Random], str]
_CAPS = Caps(frame_bytes=4096, payload_bytes=16_384, total_bytes=65_536, frames=200, events=100, values=1000)
_NODE = frozenset({"a"})
_HOST = re.compile(r"[a-z0-9_][a-z0-9._-]*")
_INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x16, 0x0D, 0x0A, 0x20, 0x3A, 0x2F, 0x00)


@dataclass(frozen=True)
class Reader:
    """A reader with its honest inputs; the check answers with what came of an input, for the count."""

    name: str
    seeds: Sequence[bytes]
    check: Check


def check_frames(data: bytes, chance: random.Random) -> str:
    """Frames come out the same however the bytes arrive; claims about nodes are events or violations."""
    whole, said = _decoded([data])
    pieces, said_too = _decoded(_cut(data, chance))
    if said is None and said_too is None:
        _require(whole == pieces, "cutting changed the frames")
    else:
        _require((said is None) == (said_too is None), "cutting changed the verdict")
        _require(whole[: len(pieces)] == pieces[: len(whole)], "cutting changed the frames before the violation")
    _require(sum(len(one.payload) for one in whole) <= len(data), "more came out than went in")
    _require(sum(one.kind in (RESULT, ERROR) for one in whole) <= 1, "two results")
    claims = Claims(nodes=frozenset(_NODE), known=frozenset(_NODE), mask=Mask(["hush-hush"]), caps=_CAPS)  # type: ignore[arg-type]
    for one in whole:
        if one.kind == EVENT:
            try:
                said_of_it = claims.event(one.payload)
                # What is held goes to the store and to other steps, as it is; the journal has the event.
                shown = said_of_it.event if isinstance(said_of_it, Unstored) else said_of_it
                _require("hush-hush" not in repr(shown), "a secret was told")
            except ChannelError:
                return "a claim refused"
    return "a violation" if said else f"{min(len(whole), 3)} frames"


def check_request(data: bytes, _: random.Random) -> str:
    """A request is refused, or it names one host that looks like one, and what is sent on has no second meaning."""
    try:
        found = parse(data)
    except BadRequestError as refusal:
        return f"refused: {refusal}"
    _require(bool(_HOST.fullmatch(found.host)), f"a host {found.host!r}")
    _require(0 < found.port < 1 << 16, f"a port {found.port}")
    if found.tunnel:
        return "a tunnel"
    _check_head(found)
    return "a plain request"


def check_hello(data: bytes, chance: random.Random) -> str:
    """A name is plain ASCII; it is the same for any longer input that begins alike, and never comes too early."""
    try:
        found = server_name(data)
    except NotClientHelloError as refusal:
        return f"refused: {refusal}"
    if found is None:
        return "more is needed"
    _require(found.isascii() and found == found.lower(), f"a name {found!r}")
    _require(server_name(data + bytes(chance.randrange(5))) == found, "what follows a hello changed its name")
    try:
        early = server_name(data[: chance.randrange(len(data))])
    except NotClientHelloError:
        return "a name"
    _require(early in (None, found), "the name changed while it came in")
    return "a name"


def mutated(seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """An honest input with a few things wrong."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randrange(6)):
        _CHANGES[chance.randrange(len(_CHANGES))](data, seeds, chance)
    return bytes(data[:20_000])


def _flip(data: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _poke(data: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    if data:
        data[chance.randrange(len(data))] = chance.choice(_INTERESTING)


def _insert(data: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    data[at:at] = chance.randbytes(chance.randrange(1, 9))


def _remove(data: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    del data[at : at + chance.randrange(1, 17)]


def _splice(data: bytearray, seeds: Sequence[bytes], chance: random.Random) -> None:
    other = chance.choice(seeds)
    data[chance.randrange(len(data) + 1) :] = other[chance.randrange(len(other) + 1) :]


def _repeat(data: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    data += data[: chance.randrange(200)]


def _resize(data: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    """Overwrite something that may be a length."""
    size = chance.choice((1, 2, 3, 4))
    at = chance.randrange(max(len(data) - size, 0) + 1)
    data[at : at + size] = chance.choice((0, 1, len(data), 255, (1 << 8 * size) - 1)).to_bytes(8, "big")[-size:]


_CHANGES = (_flip, _poke, _insert, _remove, _splice, _repeat, _resize)


def _decoded(parts: Sequence[bytes]) -> tuple[list[Frame], str | None]:
    decoder = FrameDecoder(_CAPS)
    found: list[Frame] = []
    try:
        for part in parts:
            found += decoder.feed(part)
    except ChannelError as violation:
        return found, violation.message
    return found, None


def _cut(data: bytes, chance: random.Random) -> list[bytes]:
    at = sorted(chance.randrange(len(data) + 1) for _ in range(3))
    return [data[: at[0]], data[at[0] : at[1]], data[at[1] : at[2]], data[at[2] :]]


def _check_head(found: Target) -> None:
    head = found.head
    _require(head.endswith(b"\r\n\r\n") and head.count(b"\r\n\r\n") == 1, "a head with two ends")
    names = [line.partition(b":")[0].lower() for line in head[:-4].split(b"\r\n")[1:]]
    _require(names.count(b"host") == 1 and names.count(b"content-length") <= 1, f"headers {names}")
    _require(b"transfer-encoding" not in names, "a second way to say a length")
    _require(b"\n" not in head.replace(b"\r\n", b"") and b"\r" not in head.replace(b"\r\n", b""), "a bare line end")


def _hello(host: str) -> bytes:
    out = ssl.MemoryBIO()
    context = ssl.create_default_context()
    wrapped = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=host)
    with contextlib.suppress(ssl.SSLWantReadError):
        wrapped.do_handshake()
    return out.read()


def _in_records(hello: bytes, size: int) -> bytes:
    body = hello[5:]
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(piece)) + piece for piece in pieces)


def _require(holds: bool, what: str) -> None:  # noqa: FBT001 - a condition
    if not holds:
        raise AssertionError(what)


_EVENTS = (
    b'{"kind":"node_started","node":"a"}',
    b'{"kind":"log","node":"a","text":"hush-hush","stream":"stdout"}',
    b'{"kind":"node_finished","node":"a","outputs":{"o":{"type":"text","json":"hush-hush"}},"result":{"x":[1,2.5]}}',
    b'{"kind":"node_failed","node":"a","error":"e","traceback":"hush-hush"}',
    b'{"kind":"branch_stopped","node":"a","output":"o","nodes":["a"],"lasting":true}',
    b'{"kind":"token","node":"a","text":"t","message":"m"}',
)
FRAMES = Reader(
    "frame decoder",
    (
        b"".join(frame(EVENT, event) for event in _EVENTS) + frame(RESULT, b'{"took_s":1}'),
        frame(HEARTBEAT, b"") + frame(PART, b"half") + frame(BLOB, b"rest") + frame(ERROR, b'{"error":"no"}'),
        frame(EVENT, _EVENTS[2]) + frame(BLOB, bytes(3000)),
        b"",
    ),
    check_frames,
)
REQUESTS = Reader(
    "proxy request",
    (
        b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\nProxy-Connection: keep-alive",
        b"GET http://example.org/a?b=c HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\nConnection: close",
        b"POST http://example.org:8080/ HTTP/1.0\r\nHost: x\r\nContent-Length: 12\r\nTransfer-Encoding: chunked",
        b"PUT http://a.b/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\nX: \xff",
    ),
    check_request,
)
HELLOS = Reader(
    "client hello",
    (_hello("api.openai.com"), _hello("a.b"), _in_records(_hello("example.org"), 50), b"GET / HTTP/1.1\r\n\r\n"),
    check_hello,
)
TARGETS = (FRAMES, REQUESTS, HELLOS)

"""The bytes between host and sandbox: `u32 length | u8 kind | payload`, read without trusting a single one of them.

Pure: bytes go in, frames come out, and what breaks a bound raises `ChannelError`. A frame's length is judged when its
head arrives, so that a huge claim costs nothing. A payload that is too large for a frame comes in parts, and its last
frame says of which kind it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Final, NamedTuple

import orjson

from flowray.errors import ChannelError
from flowray.flow.types import Json

# host -> sandbox
SPEC: Final = 1
BLOB_DOWN: Final = 2
CANCEL: Final = 3
REPLY: Final = 4
PART_DOWN: Final = 5
# sandbox -> host
EVENT: Final = 17
PART: Final = 18
BLOB: Final = 19
HEARTBEAT: Final = 20
ASK: Final = 21
RESULT: Final = 22
ERROR: Final = 23

_HEAD = struct.Struct(">IB")
_MIB = 1024 * 1024
_PART_BYTES = 7 * _MIB
FRAME_BYTES: Final = 8 * _MIB
_LAST = frozenset({RESULT, ERROR})
_JSON = frozenset({EVENT, ASK, RESULT, ERROR})
_LARGE = _JSON | {BLOB}
_KNOWN = _LARGE | {PART, HEARTBEAT}
_DEPTH_OF_ORJSON = 254


@dataclass(frozen=True, kw_only=True, slots=True)
class Caps:
    """How much a sandbox may say, and how long it may take to stop.

    `payload_bytes` bounds what comes in parts. `values` bounds the JSON values of one frame (a megabyte of `[],[],[]`
    parses into 25). `depth` leaves room for what is wrapped around a value later: the writer of the journal refuses 254
    levels. `grace_s` is given to who was told to stop, `linger_s` to who has said its last word.
    """

    frame_bytes: int = FRAME_BYTES
    payload_bytes: int = 64 * _MIB
    total_bytes: int = 256 * _MIB
    frames: int = 150_000
    events: int = 100_000
    values: int = 500_000
    depth: int = 200
    grace_s: float = 2.0
    linger_s: float = 0.5


class Frame(NamedTuple):
    """One frame; what was too large for one arrives with its parts put together."""

    kind: int
    payload: bytes


class FrameDecoder:
    """What a sandbox sends, cut into frames."""

    def __init__(self, caps: Caps | None = None) -> None:
        self.caps = caps or Caps()
        self.ended = False
        self._buffer = bytearray()
        self._bytes = self._frames = self._events = 0
        self._parts: list[bytes] = []
        self._parts_bytes = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are complete with these bytes."""
        self._bytes += len(data)
        if self._bytes > self.caps.total_bytes:
            raise ChannelError(f"the sandbox sent more than {self.caps.total_bytes:,} bytes")
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        at, filled = 0, len(buffer)
        while filled - at >= _HEAD.size:
            size, kind = _HEAD.unpack_from(buffer, at)
            self._check_head(size, kind)
            end = at + _HEAD.size + size
            if end > filled:
                break
            self._take(frames, kind, bytes(buffer[at + _HEAD.size : end]))
            at = end
        del buffer[:at]
        if self.ended and buffer:
            raise ChannelError("the sandbox sent bytes after its result")
        return frames

    @property
    def midway(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._buffer or self._parts)

    def _check_head(self, size: int, kind: int) -> None:
        if self.ended:
            raise ChannelError("the sandbox sent a frame after its result")
        if kind not in _KNOWN:
            raise ChannelError(f"the sandbox sent a frame of unknown type {kind}")
        if size > self.caps.frame_bytes:
            raise ChannelError(f"the sandbox announced a frame of {size:,} bytes")
        if self._parts and kind not in _LARGE and kind != PART:
            raise ChannelError("the sandbox put a frame between the parts of another")

    def _take(self, frames: list[Frame], kind: int, payload: bytes) -> None:
        self._count(kind)
        if kind == PART:
            self._part(payload)
            return
        if self._parts:
            self._part(payload)
            payload = b"".join(self._parts)
            self._parts.clear()
            self._parts_bytes = 0
        self.ended = kind in _LAST
        frames.append(Frame(kind, payload))

    def _part(self, payload: bytes) -> None:
        self._parts.append(payload)
        self._parts_bytes += len(payload)
        if self._parts_bytes > self.caps.payload_bytes:
            raise ChannelError(f"the sandbox sent a payload of more than {self.caps.payload_bytes:,} bytes")

    def _count(self, kind: int) -> None:
        self._frames += 1
        self._events += kind == EVENT
        if self._events > self.caps.events:
            raise ChannelError(f"the sandbox sent more than {self.caps.events:,} events")
        if self._frames > self.caps.frames:
            raise ChannelError(f"the sandbox sent more than {self.caps.frames:,} frames")


def parsed(payload: bytes, caps: Caps) -> dict[str, Json]:
    """Return the JSON object of a frame: within depth and number of values, and such that JSON can say it again."""
    # No document has more values than separators nor more levels than brackets: counted at the speed of memchr.
    levels = payload.count(b"[") + payload.count(b"{")
    if levels + payload.count(b",") > caps.values:
        raise ChannelError(f"the sandbox sent a frame of more than {caps.values:,} values")
    try:
        found = orjson.loads(payload)
    except orjson.JSONDecodeError as cause:
        said = f"the sandbox sent bad JSON: {cause.msg}"
    else:
        if type(found) is not dict:
            raise ChannelError(f"the sandbox sent a frame that is no object but {type(found).__name__}")
        if levels > caps.depth and _deeper(found, caps.depth):
            raise ChannelError(f"the sandbox sent JSON nested deeper than {caps.depth} levels")
        return found
    raise ChannelError(said)


def _deeper(value: Json, depth: int) -> bool:
    """Tell whether a value has more levels than this: wrapped so that orjson, in C, stumbles over its own limit."""
    wrapped = reduce(_in_a_list, range(_DEPTH_OF_ORJSON - depth), value)
    try:
        orjson.dumps(wrapped)
    except orjson.JSONEncodeError:
        return True
    return False


def _in_a_list(inner: Json, _: int) -> Json:
    return [inner]


def frame(kind: int, payload: bytes = b"") -> bytes:
    """Return one frame as bytes."""
    return _HEAD.pack(len(payload), kind) + payload


def parted(kind: int, payload: bytes) -> Iterator[bytes]:
    """Yield the frames of one payload for the sandbox: the last is of its kind, those before are parts."""
    start = 0
    while len(payload) - start > _PART_BYTES:
        yield frame(PART_DOWN, payload[start : start + _PART_BYTES])
        start += _PART_BYTES
    yield frame(kind, payload[start:] if start else payload)

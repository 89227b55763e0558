"""Messages in a stream of bytes: `u32 length | payload`."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from flowray.errors import FlowRayError

_HEAD = struct.Struct(">I")
FRAME_LIMIT_BYTES = 512 * 1024 * 1024


class LaneError(FlowRayError):
    """The other end of a lane does not speak our language, or is not one of ours."""

    code = "lane_broken"


def frame(payload: bytes) -> bytes:
    """Return a payload with its length before it."""
    return _HEAD.pack(len(payload)) + payload


class Unframer:
    """Cuts a stream into payloads; a longer one than `limit` breaks the lane."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the payloads that are complete with these bytes."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _HEAD.size:
            (size,) = _HEAD.unpack_from(buffer)
            if size > self.limit:
                raise LaneError(f"A frame of {size:,} bytes, where at most {self.limit:,} are allowed.")
            end = _HEAD.size + size
            if len(buffer) < end:
                return
            payload = bytes(buffer[_HEAD.size : end])
            del buffer[:end]
            yield payload

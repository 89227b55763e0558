"""The host's end of one sandbox's socket: neither a slow nor a silent sandbox can make it wait or grow.

Driven by the event loop's readiness callbacks, not by a stream: a short run is a handful of frames, often read at once.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from flowray.errors import ChannelError
from flowray.runner.frames import Frame, FrameDecoder

# Below malloc's threshold for memory of its own from the kernel, or each read would map and unmap pages.
_READ_BYTES = 64 * 1024


class Channel:
    """Frames out, frames in. `on_end` is called once: with what was violated, or None when the other end closed.

    `unsent_bytes` is what the sandbox has not taken yet.
    """

    def __init__(
        self,
        sock: socket.socket,
        decoder: FrameDecoder,
        on_frames: Callable[[Sequence[Frame]], None],
        on_end: Callable[[ChannelError | None], None],
    ) -> None:
        self._sock = sock
        self._descriptor = sock.fileno()
        self._decoder = decoder
        self._on_frames = on_frames
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self.unsent_bytes = 0
        self._unsent: deque[memoryview] = deque()
        self._reading = self._writing = self._closed = False

    def open(self, first: Iterable[bytes]) -> None:
        """Send the first frames and begin to read. `ConnectionError`: the sandbox died before it was sent anything."""
        for data in first:
            self._queue(data)
        self._send()
        self.resume()

    def send(self, data: bytes) -> None:
        """Send a frame as soon as the sandbox takes it; a sandbox that is gone takes nothing."""
        if self._closed:
            return
        self._queue(data)
        if not self._writing:
            self._send_or_drop()

    def pause(self) -> None:
        """Read no more for now: the sandbox will have to wait."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._descriptor)

    def resume(self) -> None:
        """Read on."""
        if not self._reading and not self._closed:
            self._reading = True
            self._loop.add_reader(self._descriptor, self._readable)

    def unread(self) -> bool:
        """Whether something that the sandbox has sent, be it its end, is not read yet."""
        if self._closed:
            return False
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except ConnectionError:
            pass
        return True

    def close(self) -> None:
        """Stop reading and writing; the socket stays its sandbox's."""
        self.pause()
        self._closed = True
        self._drop()

    def _readable(self) -> None:
        try:
            data = self._sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._end(None)
            return
        try:
            frames = self._decoder.feed(data)
            if frames:
                self._on_frames(frames)
        except ChannelError as violation:
            self._end(violation)

    def _end(self, violation: ChannelError | None) -> None:
        self.close()
        self._on_end(violation)

    def _queue(self, data: bytes) -> None:
        self._unsent.append(memoryview(data))
        self.unsent_bytes += len(data)

    def _send(self) -> None:
        while self._unsent:
            chunk = self._unsent[0]
            try:
                sent = self._sock.send(chunk)
            except BlockingIOError:
                self._send_later()
                return
            self.unsent_bytes -= sent
            if sent == len(chunk):
                self._unsent.popleft()
            else:
                self._unsent[0] = chunk[sent:]

    def _send_later(self) -> None:
        if not self._writing:
            self._writing = True
            self._loop.add_writer(self._descriptor, self._writable)

    def _writable(self) -> None:
        self._send_or_drop()
        if not self._unsent:
            self._drop()

    def _send_or_drop(self) -> None:
        try:
            self._send()
        except ConnectionError:
            # The reading side hears of the same end, after what the sandbox still had to say.
            self._drop()

    def _drop(self) -> None:
        self._unsent.clear()
        self.unsent_bytes = 0
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._descriptor)

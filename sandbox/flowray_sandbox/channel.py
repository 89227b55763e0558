"""The sandbox's end of its channel: the spec comes in, events, blobs and one answer go out.

A frame is a length (u32, big-endian), a type (u8) and the payload; a larger payload comes in parts, and the last frame
says of which type it is. The host counts and caps what it is sent; here only
what comes in is checked. Events are gathered for a moment before they are sent, since each send wakes the host; what
a node says is on its way after `FLUSH_S` at the latest, unless its code keeps the event loop busy.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import orjson

from flowray_sandbox.loop import LateLoop

SPEC, BLOB_IN, CANCEL, REPLY, PART_IN = 1, 2, 3, 4, 5
EVENT, PART, BLOB, ASK, RESULT, ERROR = 17, 18, 19, 21, 22, 23
FRAME_LIMIT_BYTES = 8 << 20
PART_BYTES = 7 << 20
FLUSH_S = 0.02
SPOKEN_S = 0.005
_FLUSH_BYTES = 64 << 10
_READ_BYTES = 64 << 10
_HEAD = struct.Struct(">IB")


def frame(kind: int, payload: bytes) -> bytes:
    """The payload as it goes over the socket."""
    return _HEAD.pack(len(payload), kind) + payload


_LOOK_AGAIN_S = 0.05
_PATIENCE_S = 1.0
_NOTHING = 0
_NEVER = float("inf")


class RefusedError(Exception):
    """The host refused what was asked for; `code` is its stable name for why."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class ChannelBrokenError(Exception):
    """The host closed the channel, or sent something that is no frame."""


class Channel:
    """One socket, written from any thread, read by the event loop once the spec is in."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sending = threading.Lock()
        self._sender = 0
        self._waiting: deque[tuple[int, bytes, float]] = deque()
        self._numbering = threading.Lock()
        self._gathered = bytearray()
        self._flushed_at = time.monotonic()
        self._blobs_sent = 0
        self._received = bytearray()
        self._parts = bytearray()
        self._loop: LateLoop | None = None
        self._flush_at = _NEVER
        self._on_cancel: Callable[[], object] = _nothing
        self._numbers = itertools.count(1)
        self._asked: dict[int, Future[tuple[Any, bytes]]] = {}
        self._reading = threading.Lock()
        self._blob_in = b""

    def read_spec(self) -> tuple[dict[str, Any], list[bytes]]:
        """Wait for the spec, and for the blobs that come before it."""
        blobs: list[bytes] = []
        parts = bytearray()
        while True:
            kind, payload = self._read_frame()
            if kind == PART_IN:
                parts += payload
                continue
            whole = bytes(parts + payload) if parts else payload
            parts.clear()
            if kind == SPEC:
                return orjson.loads(whole), blobs
            if kind != BLOB_IN:
                raise ChannelBrokenError(f"frame of type {kind} before the spec")
            blobs.append(bytes(whole))

    def listen(self, loop: LateLoop, on_cancel: Callable[[], object]) -> None:
        """Once the loop waits, it reads: replies wake who asked, a cancellation calls `on_cancel`."""
        self._loop = loop
        self._on_cancel = on_cancel
        loop.on_first_wait = lambda: self._begin_to_hear(loop)

    def _begin_to_hear(self, loop: LateLoop) -> None:
        loop.add_reader(self._sock.fileno(), self._take)
        with self._reading:
            self._obey_received()  # what came together with the spec

    def event(self, event: Mapping[str, Any], *, within_s: float = FLUSH_S) -> None:
        """Say what happened. May be called from any thread."""
        self._send(EVENT, orjson.dumps(event), within_s)

    def blob(self, content: bytes) -> int:
        """Send large bytes aside; the number is how a later event or answer refers to them."""
        with self._numbering:
            self._waiting.append((BLOB, content, FLUSH_S))
            self._blobs_sent += 1
            return self._blobs_sent - 1

    async def ask(self, what: str, details: Mapping[str, Any], blob: bytes | None = None) -> tuple[Any, bytes]:
        """Ask the host something and wait for its answer and its bytes; raises what it refused with."""
        reply = self._ask(what, details, blob)
        if self._loop is asyncio.get_running_loop():
            return await asyncio.wrap_future(reply)
        # Another thread's loop: who reads the channel may be waiting for this very thread.
        return await asyncio.to_thread(self._wait, reply)

    def ask_now(self, what: str, details: Mapping[str, Any]) -> tuple[Any, bytes]:
        """Ask, and block the calling thread until the answer is there."""
        return self._wait(self._ask(what, details, None))

    def tell(self, what: str, details: Mapping[str, Any], blob: bytes | None = None) -> None:
        """Tell the host something that needs no answer."""
        self._send(ASK, self._question(0, what, details, blob))

    def _ask(self, what: str, details: Mapping[str, Any], blob: bytes | None) -> Future[tuple[Any, bytes]]:
        number = next(self._numbers)
        reply: Future[tuple[Any, bytes]] = Future()
        self._asked[number] = reply
        self._send(ASK, self._question(number, what, details, blob), 0)
        return reply

    def _question(self, number: int, what: str, details: Mapping[str, Any], blob: bytes | None) -> bytes:
        with_blob = {} if blob is None else {"blob": self.blob(blob)}
        return orjson.dumps({**details, **with_blob, "ask": number, "what": what})

    def _wait(self, reply: Future[tuple[Any, bytes]]) -> tuple[Any, bytes]:
        """Read the channel here until the reply is in; the event loop may read it as well, or be held up by us."""
        while not reply.done():
            with self._reading:
                if not reply.done() and select.select([self._sock], [], [], _LOOK_AGAIN_S)[0]:
                    self._take_some()
        return reply.result()

    def finish(self, kind: int, answer: Mapping[str, Any]) -> None:
        """Send the one RESULT or ERROR, after all that was gathered."""
        last = orjson.dumps(answer)
        with self._sending:
            self._gather_waiting()
            self._gather(kind, last)
            self._flush()
            # Nothing can follow now, so the host need not wait until the kernel has taken this process down.
            self._sock.shutdown(socket.SHUT_WR)

    def flush(self) -> None:
        """Send what was gathered now."""
        self._send(_NOTHING, b"", 0)

    def _send(self, kind: int, payload: bytes, within_s: float = FLUSH_S) -> None:
        self._waiting.append((kind, payload, within_s))
        while self._waiting and self._may_send():
            try:
                self._gather_waiting()
            finally:
                self._sending.release()

    def _may_send(self) -> bool:
        """Take the lock. Who does not get it may leave: whoever holds it looks again at what waits.

        It may be this very thread, when a finaliser prints amid a frame. Another is waited for, so that what waits does
        not grow without end, yet not for ever: its finaliser may want a lock (of `logging`) that this thread holds.
        """
        if self._sending.acquire(blocking=False):
            return True
        return self._sender != threading.get_ident() and self._sending.acquire(timeout=_PATIENCE_S)

    def _gather_waiting(self) -> None:
        self._sender = threading.get_ident()
        soonest_s = _NEVER
        while self._waiting:
            kind, payload, within_s = self._waiting.popleft()
            soonest_s = min(soonest_s, within_s)
            if kind:
                self._gather(kind, payload)
        self._flush_within(soonest_s)

    def _flush_within(self, most_s: float) -> None:
        now = time.monotonic()
        if now - self._flushed_at >= most_s or len(self._gathered) >= _FLUSH_BYTES:
            self._flush()
        elif self._loop is not None and now + most_s < self._flush_at:
            self._flush_at = now + most_s
            self.later(most_s, self._flush_planned_now)

    def later(self, after_s: float, call: Callable[[], object]) -> None:
        """Have this called on the event loop after a while, if there is one. May be asked from any thread."""
        if self._loop is None:
            return
        if asyncio._get_running_loop() is self._loop:  # noqa: SLF001 - the public one raises where there is none
            self._loop.call_later(after_s, call)
        else:
            self._loop.call_soon_threadsafe(self._loop.call_later, after_s, call)

    def _flush_planned_now(self) -> None:
        self._flush_at = _NEVER
        self.flush()

    def _gather(self, kind: int, payload: bytes) -> None:
        last = (max(len(payload) - 1, 0) // PART_BYTES) * PART_BYTES
        for at in range(0, last, PART_BYTES):
            self._gathered += frame(PART, payload[at : at + PART_BYTES])
            self._flush()
        self._gathered += _HEAD.pack(len(payload) - last, kind)
        self._gathered += payload[last:] if last else payload

    def _flush(self) -> None:
        if self._gathered:
            self._sock.sendall(self._gathered)
            self._gathered.clear()
        self._flushed_at = time.monotonic()

    def _read_frame(self) -> tuple[int, bytes]:
        """Wait for a frame; what comes with it stays for later."""
        while (found := self._first()) is None:
            chunk = self._sock.recv(_READ_BYTES)
            if not chunk:
                raise ChannelBrokenError("the host closed the channel")
            self._received += chunk
        return found

    def _first(self) -> tuple[int, bytes] | None:
        """Cut the first frame off what was received; None as long as it is not whole."""
        if len(self._received) < _HEAD.size:
            return None
        length, kind = _HEAD.unpack_from(self._received)
        if length > FRAME_LIMIT_BYTES:
            raise ChannelBrokenError(f"a frame of {length} bytes")
        end = _HEAD.size + length
        if len(self._received) < end:
            return None
        with memoryview(self._received) as received:
            payload = bytes(received[_HEAD.size : end])
        del self._received[:end]
        return kind, payload

    def _take(self) -> None:
        """Handle what has come in, without waiting for more; a thread that waits for its answer may be at it."""
        if self._reading.acquire(blocking=False):
            try:
                self._take_some()
            finally:
                self._reading.release()

    def _take_some(self) -> None:
        try:
            chunk = self._sock.recv(_READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if not chunk:
            # Nobody is left to answer to.
            os._exit(1)
        self._received += chunk
        self._obey_received()

    def _obey_received(self) -> None:
        try:
            while (found := self._first()) is not None:
                self._obey(*found)
        except ChannelBrokenError:
            os._exit(1)

    def _obey(self, kind: int, payload: bytes) -> None:
        if kind == PART_IN:
            self._parts += payload
            return
        whole = bytes(self._parts + payload)
        self._parts.clear()
        if kind == CANCEL:
            self._cancel()
        elif kind == BLOB_IN:
            self._blob_in = whole
        elif kind == REPLY:
            content, self._blob_in = self._blob_in, b""
            self._hear(orjson.loads(whole), content)

    def _cancel(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._on_cancel)

    def _hear(self, reply: Mapping[str, Any], content: bytes) -> None:
        waiting = self._asked.pop(reply["ask"], None)
        if waiting is None or not waiting.set_running_or_notify_cancel():
            return
        if reply["ok"]:
            waiting.set_result((reply.get("value"), content))
        else:
            waiting.set_exception(RefusedError(str(reply.get("error")), str(reply.get("code", ""))))


def _nothing() -> None:
    return

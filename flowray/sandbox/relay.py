"""Bytes between a client inside and a server outside, counted, capped, and looked at once: at the name in its hello."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from flowray.engine.traffic import Traffic
from flowray.sandbox.client_hello import HANDSHAKE, NotClientHelloError, server_name
from flowray.sandbox.policy import is_address

_TLS_PORT = 443
# A client keeps some connections open whatever it does; they cost little, so the parts of many steps are rounded up.
_OPEN_AT_LEAST = 4


@dataclass(frozen=True, kw_only=True)
class Caps:
    """What all connections of one step may use, out of what its run may."""

    open: int = 32
    total: int = 1000
    up_bytes: int = 256 << 20
    down_bytes: int = 1 << 30
    idle_s: float = 120.0
    connect_s: float = 10.0

    def within(self, lent: Traffic | None) -> Caps:
        """Return these caps for a step that was lent a part of what its run may use."""
        if lent is None:
            return self
        return replace(
            self,
            open=min(self.open, max(lent.open, _OPEN_AT_LEAST)),
            total=min(self.total, lent.connections),
            up_bytes=min(self.up_bytes, lent.up_bytes),
            down_bytes=min(self.down_bytes, lent.down_bytes),
        )


@dataclass
class Spent:
    """What the connections of one step used so far."""

    connections: int = 0
    up_bytes: int = 0
    down_bytes: int = 0


class Relay:
    """One connection. `ended` gets the reason for which it was cut, '' when the two ended it themselves."""

    def __init__(self, caps: Caps, spent: Spent) -> None:
        self._caps = caps
        self._spent = spent
        self._loop = asyncio.get_running_loop()
        self._idle: asyncio.TimerHandle | None = None
        self._active_s = self._loop.time()
        self.inside = _Side(self)
        self.outside = _Side(self)
        self.inside.peer, self.outside.peer = self.outside, self.inside
        self.ended: asyncio.Future[str] = self._loop.create_future()
        self.up_bytes = self.down_bytes = 0
        self.server_name = ""

    async def run(self, client: socket.socket, server: socket.socket, early: bytes) -> str:
        """Pass bytes on until an end; `early` came from the client already. Why it was cut, or ''."""
        try:
            await self._loop.create_connection(lambda: self.outside, sock=server)
            await self._loop.connect_accepted_socket(lambda: self.inside, client)
            self._watch()
            self.inside.begin(early)
            self.outside.begin()
            return await self.ended
        finally:
            if self._idle is not None:
                self._idle.cancel()
            self.inside.abort()
            self.outside.abort()

    def expect_name(self, host: str, port: int) -> None:
        """Look at the client's first bytes: a TLS client must ask for this host, and on 443 it must be one."""
        self.inside.look = _Look(host, required=port == _TLS_PORT)

    def limit_body(self, size: int) -> None:
        """Pass on so many more bytes of the client only: what follows might be a request to somebody else."""
        self.inside.remaining = size

    def moved(self, side: _Side, size: int) -> bool:
        """Count bytes; False when they are too many."""
        self._active_s = self._loop.time()
        if side is self.inside:
            self.up_bytes += size
            self._spent.up_bytes += size
        else:
            self.down_bytes += size
            self._spent.down_bytes += size
        if self._spent.up_bytes > self._caps.up_bytes or self._spent.down_bytes > self._caps.down_bytes:
            self.cut("bytes")
            return False
        return True

    def cut(self, reason: str) -> None:
        """End both sides."""
        if not self.ended.done():
            self.ended.set_result(reason)

    def _watch(self) -> None:
        due = self._active_s + self._caps.idle_s
        if self._loop.time() >= due:
            self.cut("idle")
            return
        self._idle = self._loop.call_at(due, self._watch)


class _Look:
    """Waits for the client's hello and compares the name in it."""

    def __init__(self, host: str, *, required: bool) -> None:
        # Clients name no address in their hello.
        self._name = "" if is_address(host) else host
        self._required = required
        self._held = bytearray()
        self.name = ""

    def at(self, data: bytes) -> bytes | None:
        """What may be passed on now, or None to refuse."""
        self._held += data
        if self._held[0] != HANDSHAKE:
            return None if self._required else bytes(self._held)
        try:
            name = server_name(self._held)
        except NotClientHelloError:
            return None
        if name is None:
            return b""
        self.name = name
        return bytes(self._held) if name == self._name else None


class _Side(asyncio.Protocol):
    """One end: what it receives goes to its peer, no faster than that takes it."""

    peer: _Side
    transport: asyncio.Transport

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._made = self._aborted = False
        self.look: _Look | None = None
        self.remaining: int | None = None
        self._finished = self._lost = self._full = False
        # What came before the peer was there. Pausing is not enough: uvloop, which Ray Serve runs on, begins to read
        # after `connection_made`, paused or not, and a server that answers at once would be heard by nobody.
        self._early: list[Callable[[], object]] | None = []

    @property
    def open(self) -> bool:
        """Whether it can be spoken to: uvloop raises where asyncio lets a closed transport be."""
        return not self._lost and not self.transport.is_closing()

    def begin(self, data: bytes = b"") -> None:
        """Both ends are there: take what came too early, `data` first."""
        early, self._early = self._early or [], None
        if data:
            self.data_received(data)
        for happened in early:
            happened()
        if self.open and not self.peer._full:  # noqa: SLF001 - the same class
            self.transport.resume_reading()

    def abort(self) -> None:
        """Let go of it, now or as soon as it is made: uvloop goes on making what nobody waits for any more."""
        self._aborted = True
        if self._made:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self._made = cast("asyncio.Transport", transport), True
        if self._aborted:
            self.transport.abort()
            return
        self.transport.pause_reading()  # until the peer is there too

    def data_received(self, data: bytes) -> None:
        if self._early is not None:
            self._early.append(partial(self.data_received, data))
            self.transport.pause_reading()  # it holds now that reading has begun
            return
        if not self._relay.moved(self, len(data)):
            return
        if self.look is not None:
            shown = self.look.at(data)
            self._relay.server_name = self.look.name
            if shown is None:
                self._relay.cut("server name")
                return
            if not shown:
                return
            data, self.look = shown, None
        if self.remaining is not None:
            data = data[: self.remaining]
            self.remaining -= len(data)
        if self.peer.open:
            self.peer.transport.write(data)

    def eof_received(self) -> bool:
        if self._early is not None:
            self._early.append(self.eof_received)
            return True
        self._finished = True
        if self.peer.open:
            self.peer.transport.write_eof()
        if self.peer._finished:  # noqa: SLF001 - the same class
            self.transport.close()
        return True  # the other direction may go on

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        if self._early is not None:
            self._early.append(partial(self.connection_lost, None))
            return
        self._lost = True
        # What was received before must still reach the peer: it closes when that is sent, and is lost then.
        self.peer.transport.close()
        if self.peer._lost:  # noqa: SLF001 - the same class
            self._relay.cut("")

    def pause_writing(self) -> None:
        self._full = True
        if self.peer.open:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        self._full = False
        if self.peer.open:
            self.peer.transport.resume_reading()

"""What a runner needs of the walls: a nursery that gives parked sandboxes, each of which serves one job."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from flowray.sandbox.child import Exit
from flowray.sandbox.limits import Limits


class Sandbox(Protocol):
    """One parked sandbox, its READY already read."""

    @property
    def sock(self) -> socket.socket:
        """The channel, non-blocking."""

    @property
    def born(self) -> float:
        """When it was ready, in seconds of the monotonic clock."""

    @property
    def alive(self) -> bool:
        """Whether no end is known yet."""

    @property
    def cpu_s(self) -> float:
        """The processor time it has used so far."""

    @property
    def peak_mib(self) -> float:
        """The most memory of its own that it has had; 0 when nobody counts."""

    @property
    def gate(self) -> socket.socket:
        """The listener of 127.0.0.1:3128 in its network. Asked for only when the job may reach hosts."""

    def hold(self, limits: Limits) -> None:
        """Hold it to limits other than those it was made with, before the spec that says the same is sent."""

    async def listen(self, doors: Sequence[tuple[str, int]]) -> Sequence[socket.socket]:
        """Return listeners in its network, at these addresses and ports; they are the caller's."""

    def kill(self) -> None:
        """End it and all it started; safe at any time."""

    def close(self) -> None:
        """Kill it if it lives, and close its channel."""

    async def wait(self) -> Exit:
        """Wait for its end."""


class Nursery(Protocol):
    """The warm parent; when it dies, its sandboxes die with it."""

    @property
    def closed(self) -> asyncio.Event:
        """Set once it has ended."""

    async def spawn(self) -> Sandbox:
        """Fork one sandbox and wait until it is parked; `SandboxUnavailableError` when it cannot be."""

    async def stop(self) -> None:
        """End it with all its sandboxes."""


StartNursery = Callable[[], Awaitable[Nursery]]

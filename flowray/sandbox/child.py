"""One sandbox as the host sees it: a parked child that waits for its spec, and how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from flowray.sandbox.cgroups import Group
from flowray.sandbox.limits import Limits, niceness

Listen = Callable[[Sequence[tuple[str, int]]], Awaitable[Sequence[socket.socket]]]


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How a child ended, as the kernel told its zygote: nothing the child says can change it.

    `short_of_memory` is whether its control group's limit ended it; None when it had none. `peak_mib` is the most
    memory of its own that one had which a signal ended, 0 without a group.
    """

    code: int | None
    signal: int | None
    cpu_s: float
    max_rss_mib: float
    faults: int = 0
    short_of_memory: bool | None = None
    peak_mib: float = 0.0


class Child:
    """A child behind all its walls. `sock` is its channel; the spec goes there first, and it serves one."""

    def __init__(self, *, pid: int, sock: socket.socket, pidfd: int, listener: socket.socket, listen: Listen) -> None:
        self.pid = pid
        self.sock = sock
        self.pidfd = pidfd
        self.born = time.monotonic()
        self.used_network = False
        self.group: Group | None = None
        self._listener = listener
        self._listen = listen
        # The clock of a process's processor time, numbered by its pid (see clock_getcpuclockid).
        self._clock = (~pid << 3) | 2
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    @property
    def gate(self) -> socket.socket:
        """The listener of 127.0.0.1:3128 in the child's network.

        Ask for it before sending a spec that grants egress, and only then: a network that was asked for serves no other
        child afterwards.
        """
        self.used_network = True
        return self._listener

    async def listen(self, doors: Sequence[tuple[str, int]]) -> Sequence[socket.socket]:
        """Return listeners at these addresses and ports of the child's network, for the caller to close.

        `SandboxUnavailableError` when they cannot be made. The network serves no other child afterwards.
        """
        self.used_network = True
        return await self._listen(doors)

    @property
    def alive(self) -> bool:
        """Whether no end was told yet."""
        return not self._exit.done()

    @property
    def cpu_s(self) -> float:
        """The processor time it has used so far, by the kernel's account; 0 when it is gone."""
        try:
            return time.clock_gettime(self._clock)
        except OSError:
            return 0.0

    @property
    def peak_mib(self) -> float:
        """The most memory of its own that it has had, by the kernel's account; 0 without a control group."""
        if self.group is None:
            return 0.0
        try:
            return self.group.peak_mib()
        except OSError:
            return 0.0

    def hold(self, limits: Limits) -> None:
        """Change what its control group allows, before it is sent a spec that says the same.

        Where no group weighs it against others on a core, its niceness does.

        `ConnectionError`: it cannot be held any more, and must not be sent anything.
        """
        try:
            if self.group is None or not self.group.weighs:
                os.setpriority(os.PRIO_PROCESS, self.pid, niceness(limits.cpu_weight))
            if self.group is not None:
                self.group.limit(limits)
        except OSError as cause:
            raise ConnectionError(f"it is gone, or its control group: {cause}") from cause

    def kill(self) -> None:
        """End the child and all that it started: it is pid 1 of its namespace. Safe to call at any time."""
        if self.pidfd < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    async def wait(self) -> Exit:
        """Wait for the child's end."""
        return await asyncio.shield(self._exit)

    def close(self) -> None:
        """Kill the child if it lives, and close its channel."""
        self.kill()
        self.sock.close()

    def ended(self, end: Exit) -> None:
        """Tell those who wait. Called by the zygote's client."""
        os.close(self.pidfd)
        self.pidfd = -1
        try:
            end = self._of_group(end)
        finally:
            # Nobody tells of this end again: whoever waits for it would wait for ever.
            self._exit.set_result(end)

    def _of_group(self, end: Exit) -> Exit:
        """Add what its control group says of its end, and give the group back."""
        if self.group is None:
            return end
        group, peak_mib = self.group, 0.0 if end.signal is None else self.peak_mib
        self.group = None
        return replace(end, peak_mib=peak_mib, short_of_memory=group.end())

    def lost(self) -> None:
        """The zygote died, and the kernel ends the child with it: tell those who wait as soon as it has."""
        loop = self._exit.get_loop()
        loop.add_reader(self.pidfd, self._on_lost, loop)

    def _on_lost(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self.pidfd)
        self.ended(Exit(code=None, signal=signal.SIGKILL, cpu_s=0.0, max_rss_mib=0.0))

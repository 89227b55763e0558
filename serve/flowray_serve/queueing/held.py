"""A run that this engine drives under a lease."""

from __future__ import annotations

import asyncio

from flowray.engine.events import RunId
from flowray.engine.hold import Hold
from flowray.engine.leasing import Lease

Key = tuple[str, RunId]


class Held:
    """One leased run, and the task that drives it."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.hold = Hold(lease.number)
        self.task: asyncio.Task[None] | None = None
        self.reason = lease.cancel
        self.driving = False

    @property
    def key(self) -> Key:
        """Tenant and run."""
        return (self.lease.tenant, self.lease.run)

    def cancel(self, reason: str) -> None:
        """End the run as cancelled; once is enough.

        Before it is driven, whoever is about to drive it sees `reason`; after that, whoever has the queue's next lease.
        """
        if self.reason:
            return
        self.reason = reason
        if self.driving and self.task is not None:
            self.task.cancel(reason)

    def abandon(self) -> None:
        """Write nothing more of this run, and let go of it."""
        self.hold.abandon()
        if self.task is not None:
            self.task.cancel("The lease is over.")

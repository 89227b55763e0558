"""An engine at work: it leases queued runs, drives them, renews its leases, and lets go in good order."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from flowray.engine.leasing import Cancels, Lease, Queue, QueueStats, Renewed
from flowray.errors import FlowRayError, StoreUnavailableError
from flowray_serve.queueing.held import Held, Key

log = logging.getLogger(__name__)

_AGAIN_S = 1.0
_LISTEN_S = 1.0
_RENEWALS_PER_LEASE = 3


class Drives(Protocol):
    """Carries one leased run on, from wherever its journal says it stands."""

    async def __call__(self, held: Held) -> None:
        """To its end, or until it is left; see `flowray_serve.queueing.carry.Carrier`."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How an engine works: so many runs at a time, leases of so many seconds, and so long to let go when it leaves."""

    runs: int = 64
    lease_s: float = 5.0
    drain_s: float = 60.0
    bell_s: float = field(default=_LISTEN_S)
    again_s: float = field(default=_AGAIN_S)


class Driver:
    """Takes runs from the queue for as long as it works. `name` is this engine's."""

    def __init__(self, queue: Queue, cancels: Cancels, drive: Drives, *, name: str, pace: Pace) -> None:
        self._queue = queue
        self._cancels = cancels
        self._drive = drive
        self._name = name
        self._pace = pace
        self._held: dict[Key, Held] = {}
        self._freed = asyncio.Event()
        self._draining = False
        self._tasks: list[asyncio.Task[None]] = []
        self._renewal_tried = 0.0

    @property
    def running(self) -> int:
        """How many runs it drives."""
        return len(self._held)

    def start(self) -> None:
        """Begin to work."""
        self._renewal_tried = asyncio.get_running_loop().time()
        works = {"take runs": self._take, "renew leases": self._renew, "hear cancellations": self._hear}
        self._tasks = [asyncio.create_task(work(), name=name) for name, work in works.items()]

    def check(self) -> None:
        """Raise when it no longer does its work."""
        for task in self._tasks:
            if task.done() and not self._draining:
                raise FlowRayError(f"The engine no longer does this: {task.get_name()}.")

    async def stats(self) -> QueueStats:
        """The queues at a glance."""
        return await self._queue.stats()

    async def close(self) -> None:
        """Take nothing more; let runs come to a border between steps, and hand over what is not over by then."""
        self._draining = True
        self._tasks[0].cancel()
        for held in self._held.values():
            held.hold.leave()
        tasks = [held.task for held in self._held.values() if held.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=self._pace.drain_s)
        for held in tuple(self._held.values()):
            held.abandon()
        left = [task for task in tasks if not task.done()]
        if left:
            await asyncio.wait(left)
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def _take(self) -> None:
        while True:
            room = self._pace.runs - len(self._held)
            if room <= 0:
                self._freed.clear()
                await self._freed.wait()
                continue
            try:
                leases = await self._queue.take(self._name, limit=room, for_s=self._pace.lease_s)
                for lease in leases:
                    self._begin(lease)
                if not leases:
                    await self._queue.bell(within_s=self._pace.bell_s)
            except FlowRayError as error:
                log.warning("No run taken", extra={"action": "take_failed", "reason": error.message})
                await asyncio.sleep(self._pace.again_s)

    def _begin(self, lease: Lease) -> None:
        held = Held(lease)
        former = self._held.get(held.key)
        if former is not None:
            former.abandon()  # its lease ran out and came back to the same engine
        self._held[held.key] = held
        held.task = asyncio.create_task(self._drive_to_end(held), name=f"run {lease.run}")

    async def _drive_to_end(self, held: Held) -> None:
        facts = {"tenant": held.lease.tenant, "run": held.lease.run}
        try:
            await self._drive(held)
        except asyncio.CancelledError:
            await self._let_go(held)
        except StoreUnavailableError as error:
            log.warning("A store is away", extra={"action": "store_away", "reason": error.message, **facts})
            await self._put_off(held)
        except FlowRayError as error:
            # Nothing is lost: the lease runs out, and whoever takes the run goes on from its journal.
            log.warning("Run not driven on", extra={"action": "drive_failed", "reason": error.message, **facts})
        except Exception:
            log.exception("An engine broke on a run", extra={"action": "drive_broken", **facts})
        finally:
            if self._held.get(held.key) is held:
                del self._held[held.key]
            self._freed.set()

    async def _put_off(self, held: Held) -> None:
        """Let the run wait until the store is back: its engine was not lost, and that must not count as if it were."""
        await asyncio.sleep(self._pace.again_s)
        try:
            await self._queue.give_back(held.lease)
        except FlowRayError as error:
            log.warning("Lease not given up; it runs out", extra={"action": "let_go_failed", "reason": error.message})

    async def _let_go(self, held: Held) -> None:
        """After a run was handed over, or lost to another engine; who cancelled it has seen to its lease."""
        if not (held.hold.abandoned and self._draining):
            return
        try:
            await self._queue.give_back(held.lease)
        except FlowRayError as error:
            log.warning("Lease not given up; it runs out", extra={"action": "let_go_failed", "reason": error.message})

    async def _renew(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._pace.lease_s / _RENEWALS_PER_LEASE)
            # Who was stopped for longer than a lease may have been overtaken; an emptied store cannot say by whom.
            overslept = loop.time() - self._renewal_tried > self._pace.lease_s
            self._renewal_tried = loop.time()
            held = tuple(self._held.values())
            try:
                async with asyncio.timeout(self._pace.lease_s / _RENEWALS_PER_LEASE):  # later is too late
                    renewed = await self._queue.renew(
                        [one.lease for one in held], for_s=self._pace.lease_s, reclaim=not overslept
                    )
            except (FlowRayError, TimeoutError) as error:
                log.warning("Leases not renewed", extra={"action": "renew_failed", "reason": str(error) or "too late"})
                continue
            for one, result in zip(held, renewed, strict=True):
                _heed(one, result)

    async def _hear(self) -> None:
        async with aclosing(self._cancels.listen()) as asked:
            async for tenant, run, reason in asked:
                if (held := self._held.get((tenant, run))) is not None:
                    held.cancel(reason)


def _heed(held: Held, renewed: Renewed) -> None:
    if renewed.kept != "kept":
        log.warning("Lease lost", extra={"action": "lease_lost", "tenant": held.lease.tenant, "run": held.lease.run})
        held.abandon()
        return
    if renewed.forgot:
        held.hold.forgotten()
    if renewed.cancel:
        held.cancel(renewed.cancel)

"""Stopping a run, whoever drives it, or nobody yet."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol

from flowray.engine.events import RunFinished, RunId, RunStatus
from flowray.engine.hold import Hold
from flowray.engine.leasing import Cancels, Queue, StoreForgotError
from flowray.engine.ports import Journal
from flowray.errors import StoreUnavailableError
from flowray.stores.requests import Requests
from flowray_serve.queueing.accepted_journal import read_accepted
from flowray_serve.queueing.carry import LeasedEngine, cancelled
from flowray_serve.queueing.recall import Recall

_ASK_AGAIN_S = 0.5
_CLAIM_S = 10.0


class NotStoppedError(StoreUnavailableError):
    """The run was asked to stop and has not, so far."""

    code = "not_stopped_yet"


class LocalRuns(Protocol):
    """The runs that this very process drives."""

    async def cancel(self, tenant: str, run: RunId) -> bool:
        """Stop one and wait for its end; False when it is not driven here."""


class Stopping:
    """Stops runs, and waits `within_s` for that. `name` is whose claim it is when a run is ended that nobody drives."""

    def __init__(  # noqa: PLR0913 - each is used on its own
        self,
        local: LocalRuns,
        queue: Queue,
        cancels: Cancels,
        requests: Requests,
        journal: Journal,
        engine: LeasedEngine,
        *,
        name: str,
        within_s: float = 10.0,
    ) -> None:
        self._local = local
        self._queue = queue
        self._cancels = cancels
        self._requests = requests
        self._journal = journal
        self._engine = engine
        self._name = name
        self._within_s = within_s
        self._recall = Recall(queue, requests, journal, name=name)

    async def stop(self, tenant: str, run: RunId, *, reason: str = "Somebody asked the run to stop.") -> RunStatus:
        """How a run that was not over ended: as cancelled, or by itself before it was."""
        # One that was about to wait when it was stopped waits now, and is ended as such.
        if await self._local.cancel(tenant, run) and (ended := await self.over(tenant, run)) is not None:
            return ended
        if await self._end_waiting(tenant, run, reason):
            return "cancelled"
        return await self._ask(tenant, run, reason)

    async def over(self, tenant: str, run: RunId) -> RunStatus | None:
        """How a run has ended, if it has. `NotFoundError` when there is none.

        `StoreForgotError` when that cannot be told yet, see `read_accepted`.
        """
        async for one in read_accepted(self._journal, self._requests, tenant, run):
            if isinstance(one.event, RunFinished):
                return one.event.status
        return None

    async def _end_waiting(self, tenant: str, run: RunId, reason: str) -> bool:
        lease = None
        with suppress(StoreForgotError):
            lease = await self._queue.claim(tenant, run, holder=self._name, for_s=_CLAIM_S)
        if lease is None:
            return False
        accepted = await self._requests.find(tenant, run)
        if accepted is not None:
            recorded = await self._recall.read(lease)
            await self._engine.end(accepted.request, recorded, cancelled(reason), hold=Hold(lease.number))
        await self._queue.done(lease)
        return accepted is not None

    async def _ask(self, tenant: str, run: RunId, reason: str) -> RunStatus:
        """Say it until it is heard: a message over Redis may be lost with a connection.

        A run that is put down meanwhile, to wait or to be taken over, has nobody left to hear it: it is ended here.
        """
        ended = asyncio.create_task(self._end(tenant, run), name=f"end of run {run}")
        try:
            async with asyncio.timeout(self._within_s):
                while not ended.done():
                    await self._cancels.ask(tenant, run, reason=reason)
                    if await self._end_waiting(tenant, run, reason):
                        return "cancelled"
                    await asyncio.wait({ended}, timeout=_ASK_AGAIN_S)
                return ended.result()
        except TimeoutError:
            raise NotStoppedError(
                f"Run `{run}` was asked to stop and has not within {self._within_s:g} s; it will be when it is heard."
            ) from None
        finally:
            ended.cancel()

    async def _end(self, tenant: str, run: RunId) -> RunStatus:
        async for one in self._journal.read(tenant, run, follow=True):
            if isinstance(one.event, RunFinished):
                return one.event.status
        return "failed"

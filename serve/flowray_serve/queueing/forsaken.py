"""Runs whose process is gone: a synchronous run ends with its gateway, and its journal has to say so.

A run with an accepted request goes back into the queue instead: an engine takes it from where its journal stands.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from flowray.engine.events import Recorded, RunFinished, RunId
from flowray.engine.leasing import Queue
from flowray.engine.ports import Journal
from flowray.errors import ConflictError, FlowRayError
from flowray.stores.archive import Archive
from flowray.stores.redis_open_runs import ForsakenRun
from flowray.stores.requests import Requests
from flowray_serve.queueing.one_of_many import one_of_many
from flowray_serve.queueing.recall import read_all
from flowray_serve.queueing.turn import Turn

log = logging.getLogger(__name__)

LIVES_FOR_S = 12
_SAY_EVERY_S = 3.0
_LOOK_EVERY_S = 3.0
# An emptied Redis has forgotten who lives: nobody is taken for gone before all had the time to say so again.
_SURE_AFTER_S = 10.0


class OpenRuns(Protocol):
    """See `flowray.stores.redis_open_runs.RedisOpenRuns`."""

    async def live(self, engine: str, *, for_s: int) -> None:
        """Say that this engine lives."""

    async def forsaken(self) -> Sequence[ForsakenRun]:
        """The runs that nobody drives."""


class Forsaken:
    """Ends runs that nobody drives, or has them driven on."""

    def __init__(  # noqa: PLR0913 - each is used on its own
        self,
        runs: OpenRuns,
        journal: Journal,
        requests: Requests,
        queue: Queue,
        archive: Archive,
        *,
        clock: Callable[[], float] = time.time,
        sure_after_s: float = _SURE_AFTER_S,
    ) -> None:
        self._runs = runs
        self._journal = journal
        self._requests = requests
        self._queue = queue
        self._archive = archive
        self._clock = clock
        self._sure_after_s = sure_after_s
        self._suspects: dict[tuple[str, RunId], float] = {}

    async def work(self, turn: Turn, *, name: str) -> None:
        """Look when it is this one's turn, until cancelled."""
        while True:
            try:
                if await turn.mine("forsaken", by=name, for_s=4 * int(_LOOK_EVERY_S)):
                    await self.look()
                else:
                    self._suspects.clear()
            except FlowRayError as error:
                log.warning("Not looked", extra={"action": "forsaken_failed", "reason": error.message})
            await asyncio.sleep(_LOOK_EVERY_S)

    async def look(self) -> int:
        """Look once, and deal with those that have had nobody for long enough; how many."""
        found = {(one.tenant, one.run): one for one in await self._runs.forsaken()}
        now = self._clock()
        self._suspects = {key: self._suspects.get(key, now) for key in found}
        sure = [one for key, one in found.items() if now - self._suspects[key] >= self._sure_after_s]
        for one in sure:
            with one_of_many("Forsaken run not settled", tenant=one.tenant, run=one.run):
                await self._settle(one)
            del self._suspects[one.tenant, one.run]
        return len(sure)

    async def _settle(self, one: ForsakenRun) -> None:
        if await self._requests.find(one.tenant, one.run) is not None:
            await self._queue.recover(one.tenant, one.run, at=one.at)
            return
        recorded = await read_all(self._journal, one.tenant, one.run)
        if not recorded or isinstance(recorded[-1].event, RunFinished):
            return
        # Its caller may have had the answer, and Redis has forgotten that: what is on record is how it ended.
        kept = await self._archive.find(one.tenant, one.run)
        try:
            await self._journal.append(one.tenant, kept[len(recorded) :] if kept else [self._lost(one, recorded)])
        except ConflictError:
            return  # it lives after all
        log.warning("Run ended", extra={"action": "forsaken_ended", "tenant": one.tenant, "run": one.run})

    def _lost(self, one: ForsakenRun, recorded: Sequence[Recorded]) -> Recorded:
        verdict = RunFinished(status="failed", kind="lost", error=_why(one))
        return Recorded(seq=recorded[-1].seq + 1, at=self._clock(), run=one.run, event=verdict)


async def say_alive(runs: OpenRuns, engine: str) -> None:
    """Say that this engine lives, until cancelled."""
    while True:
        try:
            await runs.live(engine, for_s=LIVES_FOR_S)
        except FlowRayError as error:
            log.warning("Not said that it lives", extra={"action": "alive_failed", "reason": error.message})
        await asyncio.sleep(_SAY_EVERY_S)


def _why(one: ForsakenRun) -> str:
    if not one.engine:
        return "The run was begun by nobody: the process that took the request is gone. Ask for it again."
    return (
        f"The process that drove this run (`{one.engine}`) is gone, and with it whoever waited for the answer. "
        "Ask for it again; a run in the background outlives its process."
    )

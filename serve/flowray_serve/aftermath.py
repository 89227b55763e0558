"""What follows from a run's pause or end, whether whoever wanted the run is still there or not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from flowray.engine.events import Event, RunFinished, RunPaused
from flowray.engine.ports import Journal, RunRequest
from flowray.errors import FlowRayError
from flowray.flow.types import Json

# Is told of a run that paused here: who asked for it is answered, and the run waits elsewhere.
OnPause = Callable[[RunRequest, Mapping[str, Json]], Awaitable[None]]
OnEnd = Callable[[RunRequest, RunFinished], Awaitable[None]]
_STOPPED = RunFinished(status="cancelled", kind="cancelled")


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """Sees to what follows, for the runs that one process drives.

    It is done also when whoever wanted the run leaves just then: a paused run that is not on record would wait for an
    answer that nobody can give.
    """

    journal: Journal
    on_pause: OnPause
    on_end: OnEnd

    async def see_to(self, request: RunRequest, last: Event, *, mode: str) -> None:
        """Do what follows from an event, if something does."""
        if isinstance(last, RunPaused | RunFinished):
            await _to_its_end(self._follow(request, last, mode))

    async def see_to_stopped(self, request: RunRequest, *, mode: str) -> None:
        """Do what follows for a run that was stopped before it could tell its end.

        Its journal may say that it had paused, or ended, before: it is ahead of a reader that stands still.
        """
        await _to_its_end(self._follow_stopped(request, mode))

    async def _follow(self, request: RunRequest, last: RunPaused | RunFinished, mode: str) -> None:
        if isinstance(last, RunPaused):
            await self.on_pause(request, {"mode": mode})
        else:
            await self.on_end(request, last)

    async def _follow_stopped(self, request: RunRequest, mode: str) -> None:
        last: Event | None = None
        with suppress(FlowRayError):  # it was to be stopped: nobody counts on more than that
            async for one in self.journal.read(request.tenant, request.run):
                last = one.event
        await self._follow(request, last if isinstance(last, RunPaused | RunFinished) else _STOPPED, mode)


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    following = asyncio.ensure_future(work)
    try:
        await asyncio.shield(following)
    except asyncio.CancelledError:
        await asyncio.wait({following})
        raise

"""What follows from a run's pause or end, whether whoever wanted the run is still there or not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from flowray.engine.events import Event, RunFinished, RunPaused
from flowray.engine.ports import RunRequest
from flowray.flow.types import Json

# Is told of a run that paused here: who asked for it is answered, and the run waits elsewhere.
OnPause = Callable[[RunRequest, Mapping[str, Json]], Awaitable[None]]
OnEnd = Callable[[RunRequest, RunFinished], Awaitable[None]]
_STOPPED = RunFinished(status="cancelled", kind="cancelled")


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """Sees to what follows, for the runs that one process drives."""

    on_pause: OnPause
    on_end: OnEnd

    async def see_to(self, request: RunRequest, last: Event, *, mode: str) -> None:
        """Do what follows from an event, if something does, also when whoever wanted the run leaves just then.

        A paused run that is not on record would wait for an answer that nobody can give.
        """
        if isinstance(last, RunPaused):
            following = asyncio.ensure_future(self.on_pause(request, {"mode": mode}))
        elif isinstance(last, RunFinished):
            following = asyncio.ensure_future(self.on_end(request, last))
        else:
            return
        try:
            await asyncio.shield(following)
        except asyncio.CancelledError:
            await asyncio.wait({following})
            raise

    async def see_to_stopped(self, request: RunRequest) -> None:
        """Do what follows from the end of a run that was stopped before it could tell its end."""
        await self.see_to(request, _STOPPED, mode="")

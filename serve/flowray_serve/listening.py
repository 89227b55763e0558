"""Between a run and whoever reads along: the run waits for a slow reader, and forgets one that has left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from flowray.engine.events import Recorded
from flowray.errors import FlowRayError

_AHEAD = 256


class Listener:
    """One reader of one run."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Recorded | FlowRayError | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(_AHEAD)
        self.has_left = False

    async def tell(self, recorded: Recorded | FlowRayError) -> None:
        """Tell the next event, or why there is none; wait while the reader is far behind."""
        if self.has_left:
            return
        await self._room.acquire()
        self._events.put_nowait(recorded)

    def end(self) -> None:
        """Nothing more is told. However far behind the reader is, the run waits no longer for it."""
        self._events.put_nowait(None)

    async def events(self) -> AsyncGenerator[Recorded, None]:
        """What was told, until the end; raises the error that was told."""
        while (recorded := await self._events.get()) is not None:
            self._room.release()
            if isinstance(recorded, FlowRayError):
                raise recorded
            yield recorded

    def leave(self) -> None:
        """Hear nothing more; whoever waits to tell something goes on."""
        self.has_left = True
        self._room.release()
        while not self._events.empty():
            self._events.get_nowait()

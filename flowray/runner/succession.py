"""How one zygote follows another without a gap: the next is warm, with spares parked, before the old one leaves."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from flowray.runner.brood import Brood, Taken

log = logging.getLogger(__name__)

_AGAIN_S = 60.0
Hatched = tuple[Brood, list[Taken]]


class Heir:
    """The next zygote, in the making once the present one is worn. `on_ready` is called when it is worth a look."""

    def __init__(self, hatch: Callable[[], Awaitable[Hatched]], on_ready: Callable[[], None]) -> None:
        self._hatch = hatch
        self._on_ready = on_ready
        self._making: asyncio.Task[Hatched] | None = None
        self._not_before = 0.0

    def take(self, *, worn: bool) -> Hatched | None:
        """Return it when it is ready; begin with it when it is time to."""
        if self._making is None:
            if worn and time.monotonic() >= self._not_before:
                self._making = asyncio.create_task(self._make(), name="next zygote")
                self._making.add_done_callback(lambda _: self._on_ready())
            return None
        if not self._making.done():
            return None
        made, self._making = self._making, None
        try:
            return made.result()
        except Exception:
            # Whatever it is, the old one serves on; what keeps the next one from starting may pass.
            log.exception("The next zygote does not start", extra={"action": "zygote_failed"})
            self._not_before = time.monotonic() + _AGAIN_S
            return None

    async def call_off(self) -> None:
        """End it, whether it is warm already or not: nobody waits for it any more."""
        making, self._making = self._making, None
        if making is None:
            return
        making.cancel()
        await asyncio.wait([making])
        if not making.cancelled() and making.exception() is None:
            await making.result()[0].nursery.stop()

    async def _make(self) -> Hatched:
        return await self._hatch()


class Retired:
    """Zygotes that were replaced: each ends when its last job has."""

    def __init__(self) -> None:
        self._waiting: set[Brood] = set()
        self._leaving: set[asyncio.Task[None]] = set()

    def add(self, brood: Brood) -> None:
        """Take one that gets no more jobs."""
        self._waiting.add(brood)
        self.look_at(brood)

    def look_at(self, brood: Brood) -> None:
        """A job of this one is over."""
        if brood in self._waiting and not brood.at_work:
            self._waiting.remove(brood)
            leaving = asyncio.create_task(brood.nursery.stop(), name="replaced zygote")
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        """End all that are left, whatever they are at."""
        await asyncio.gather(*self._leaving, *(brood.nursery.stop() for brood in self._waiting))
        self._waiting.clear()

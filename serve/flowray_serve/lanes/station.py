"""A Runner that can be reached: it runs, its lanes are open, and its place stays announced."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from flowray.errors import FlowRayError, RunnerUnavailableError
from flowray.runner.runner import Stats
from flowray.stores.places import Place, Places
from flowray_serve.lanes.server import AskingSteps, LaneServer

log = logging.getLogger(__name__)
_ANNOUNCED_FOR_S = 10.0
_ANNOUNCE_EVERY_S = 3.0


class StationedRunner(AskingSteps, Protocol):
    """What a station needs of its Runner."""

    async def start(self) -> None:
        """Get ready to run steps."""

    async def close(self) -> None:
        """Let running steps end, then end everything."""

    def stats(self) -> Stats:
        """How it is."""


class Station:
    """A Runner at its place. `place.address` is where to listen; what is announced may name the port that was free."""

    def __init__(self, runner: StationedRunner, place: Place, *, places: Places, secret: bytes) -> None:
        self.place = place
        self._runner = runner
        self._places = places
        self._lanes = LaneServer(runner, secret=secret)
        self._announcing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start the Runner, then let engines find it."""
        await self._runner.start()
        address = await self._lanes.listen(self.place.address)
        self.place = Place(name=self.place.name, pool=self.place.pool, address=address, capacity=self.place.capacity)
        self._announcing = asyncio.create_task(self._announce(), name=f"announce {self.place.name}")

    async def close(self, *, within_s: float) -> None:
        """Take nothing new, let what runs end, and leave."""
        if self._announcing is not None:
            self._announcing.cancel()
            await asyncio.wait([self._announcing])
        try:
            await self._places.withdraw(self.place)
        except FlowRayError as error:
            log.info("Place not withdrawn; it runs out", extra={"action": "withdraw_failed", "reason": str(error)})
        await self._lanes.drain(within_s=within_s)
        await self._lanes.close()
        await self._runner.close()

    @property
    def running(self) -> int:
        """How many steps are running here."""
        return self._lanes.running

    def check(self) -> None:
        """Raise when steps that come here cannot be run."""
        if not self._runner.stats().alive:
            raise RunnerUnavailableError("The Runner no longer looks after its spares.")
        if self._announcing is not None and self._announcing.done():
            raise RunnerUnavailableError("The Runner is no longer announced.")

    async def _announce(self) -> None:
        while True:
            try:
                await self._places.announce(self.place, for_s=_ANNOUNCED_FOR_S)
            except FlowRayError as error:
                log.warning("Runner not announced", extra={"action": "announce_failed", "reason": str(error)})
            await asyncio.sleep(_ANNOUNCE_EVERY_S)

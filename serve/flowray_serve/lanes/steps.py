"""The engine's port for steps, over lanes to the Runners that are announced."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from flowray.engine.commands import StartStep
from flowray.engine.events import StepEvent, StepFailed
from flowray.engine.ports import RunRequest
from flowray.errors import FlowRayError, RunnerUnavailableError
from flowray.lasting import lasting
from flowray.runner.asking import Answers, Desk
from flowray.stores.places import Place, Places
from flowray_serve.lanes.berths import Berths
from flowray_serve.lanes.lane import Lane

log = logging.getLogger(__name__)


class LaneSteps:
    """Runs each step on the least busy Runner of its pool; a step waits at most `patience_s` for one with room.

    `answers` answers what steps ask and their Runners do not know.
    """

    def __init__(
        self,
        places: Places,
        *,
        secret: bytes,
        answers: Answers | None = None,
        patience_s: float = 60.0,
        look_every_s: float = 1.0,
    ) -> None:
        self._places = places
        self._secret = secret
        self._answers = answers or Desk()
        self._patience_s = patience_s
        self._look_every_s = look_every_s
        self._lanes: dict[Place, Lane] = {}
        self._berths = Berths()
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look for Runners."""
        self._looking = lasting(self._look, name="look for runners")

    async def close(self) -> None:
        """End all lanes."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        for lane in tuple(self._lanes.values()):
            lane.close()

    async def run(self, request: RunRequest, step: StartStep) -> AsyncGenerator[Sequence[StepEvent], None]:
        """See `flowray.engine.ports.Steps`."""
        pool = request.plan.by_id[step.step].pool
        try:
            lane = await self._berths.take(pool, patience_s=self._patience_s, lent=step.lent)
        except RunnerUnavailableError as error:
            yield (StepFailed(step=step.step, kind="unavailable", error=str(error), retryable=True),)
            return
        try:
            async with aclosing(lane.run(request, step)) as happening:
                async for events in happening:
                    yield events
        finally:
            self._berths.give_back(lane)

    async def _look(self) -> None:
        while True:
            try:
                unmet = [place for place in await self._places.all() if place not in self._lanes]
                await asyncio.gather(*(self._meet(place) for place in unmet))
            except FlowRayError as error:
                log.warning("Runners not found", extra={"action": "look_failed", "reason": str(error)})
            await asyncio.sleep(self._look_every_s)

    async def _meet(self, place: Place) -> None:
        lane = Lane(
            place,
            secret=self._secret,
            answers=self._answers,
            on_leaving=self._berths.remove,
            on_end=self._forget,
        )
        try:
            await lane.connect()
        except (OSError, FlowRayError) as error:
            log.info("Runner not reached", extra={"action": "lane_failed", "runner": place.name, "reason": str(error)})
            return
        self._lanes[place] = lane
        if not lane.leaving:  # a Runner that drains says so in one breath with the last word of the handshake
            self._berths.add(lane)

    def _forget(self, lane: Lane) -> None:
        self._berths.remove(lane)
        self._lanes.pop(lane.place, None)

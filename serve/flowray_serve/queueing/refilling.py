"""Writes again what an emptied Redis has lost and nobody has to wait for: the list of runs, what was used.

It may take minutes where the record is long. What runs cannot do without is brought back by `Recovery`, beside it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from flowray.errors import FlowRayError
from flowray_serve.queueing.turn import HELD_S, Turn, kept

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 3.0


class Marks(Turn, Protocol):
    """See `flowray.stores.upkeep.RedisUpkeep`."""

    async def is_filled(self, what: str) -> bool:
        """Whether Redis has all of this."""

    async def begin(self, what: str) -> str:
        """Begin to fill it; what to say when that is done."""

    async def note_filled(self, what: str, begun: str) -> bool:
        """It has, unless it was emptied since it was begun; whether it has."""


class Refilling:
    """Keeps one thing in Redis filled. `fill` writes it from the record, as often as it likes; it says how much."""

    def __init__(self, marks: Marks, what: str, fill: Callable[[], Awaitable[int]], *, name: str) -> None:
        self._marks = marks
        self._what = what
        self._fill = fill
        self._name = name

    async def work(self) -> None:
        """Look, until cancelled."""
        while True:
            try:
                await self.look()
            except FlowRayError as error:
                facts = {"what": self._what, "reason": error.message}
                log.warning("Not filled again", extra={"action": "refill_failed", **facts})
            await asyncio.sleep(_LOOK_EVERY_S)

    async def look(self) -> bool:
        """Fill it if it is not and nobody else does; whether it was filled now."""
        if await self._marks.is_filled(self._what):
            return False
        if not await self._marks.mine(self._what, by=self._name, for_s=HELD_S):
            return False
        async with kept(self._marks, self._what, by=self._name):
            begun = await self._marks.begin(self._what)
            count = await self._fill()
        filled = await self._marks.note_filled(self._what, begun)
        log.info("Filled again", extra={"action": "refilled", "what": self._what, "count": count, "whole": filled})
        return filled

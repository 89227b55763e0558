"""Room on the lanes of each pool: who gets it, and who waits for it, first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque

from flowray.errors import RunnerUnavailableError
from flowray.quotas.amounts import stretched
from flowray_serve.lanes.lane import Lane

Turn = asyncio.Future[Lane]


class Berths:
    """The room of all lanes. A lane that `take` gave has to come back through `give_back`."""

    def __init__(self) -> None:
        self._lanes: dict[str, list[Lane]] = {}
        self._waiting: dict[str, deque[Turn]] = {}

    def add(self, lane: Lane) -> None:
        """A new lane brings room."""
        self._lanes.setdefault(lane.place.pool, []).append(lane)
        self._serve(lane.place.pool)

    def remove(self, lane: Lane) -> None:
        """A lane takes nothing more."""
        lanes = self._lanes.get(lane.place.pool, [])
        if lane in lanes:
            lanes.remove(lane)

    async def take(self, pool: str, *, patience_s: float, lent: bool = False) -> Lane:
        """Return the least busy lane with room, once there is one and those who came before have theirs.

        Who comes in a `lent` turn takes the room of somebody who waits for it: no lane is too busy, and nobody before.
        """
        if lent and (lane := min(self._lanes.get(pool, ()), key=_load, default=None)) is not None:
            lane.busy += 1
            return lane
        if not self._waiting.get(pool) and (lane := self._least_busy(pool)) is not None:
            lane.busy += 1
            return lane
        return await self._wait(pool, patience_s)

    def give_back(self, lane: Lane) -> None:
        """A step is over."""
        lane.busy -= 1
        self._serve(lane.place.pool)

    async def _wait(self, pool: str, patience_s: float) -> Lane:
        turn: Turn = asyncio.get_running_loop().create_future()
        queue = self._waiting.setdefault(pool, deque())
        queue.append(turn)
        try:
            async with asyncio.timeout(patience_s):
                return await turn
        except TimeoutError:
            self._renounce(turn)
            raise RunnerUnavailableError(f"No Runner of pool `{pool}` had room within {patience_s:g} s.") from None
        except asyncio.CancelledError:
            self._renounce(turn)
            raise
        finally:
            if turn in queue:
                queue.remove(turn)

    def _renounce(self, turn: Turn) -> None:
        """Give back what was given in the same moment as the waiting ended."""
        if turn.done() and not turn.cancelled():
            self.give_back(turn.result())

    def _serve(self, pool: str) -> None:
        queue = self._waiting.get(pool)
        while queue and (lane := self._least_busy(pool)) is not None:
            turn = queue.popleft()
            if not turn.done():
                lane.busy += 1
                turn.set_result(lane)

    def _least_busy(self, pool: str) -> Lane | None:
        with_room = (lane for lane in self._lanes.get(pool, ()) if lane.busy < stretched(lane.place.capacity))
        return min(with_room, key=_load, default=None)


def _load(lane: Lane) -> float:
    return lane.busy / lane.place.capacity

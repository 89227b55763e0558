"""One zygote with the sandboxes that were forked from it: how worn it is, and how many of them are at work."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from flowray.runner.sandboxes import Nursery, Sandbox, StartNursery

SPAWN_S = 30.0


class Brood:
    """Counts what comes from a nursery. `at_work` are its sandboxes that serve a job."""

    def __init__(self, nursery: Nursery) -> None:
        self.nursery = nursery
        self.at_work = 0
        self.forks = 0
        self._born = time.monotonic()

    @property
    def age_s(self) -> float:
        """How long ago it was warm."""
        return time.monotonic() - self._born

    @property
    def ended(self) -> asyncio.Event:
        """Set once its zygote has ended."""
        return self.nursery.closed

    async def spawn(self) -> Taken:
        """Fork one more sandbox and park it."""
        self.forks += 1
        return Taken(sandbox=await self.nursery.spawn(), brood=self)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A sandbox for one job, and where it comes from."""

    sandbox: Sandbox
    brood: Brood

    @property
    def lost(self) -> asyncio.Event:
        """Set when it dies with its zygote."""
        return self.brood.ended


async def hatch(start: StartNursery, *, spares: int) -> tuple[Brood, list[Taken]]:
    """Start a zygote and park its first spares."""
    brood = Brood(await start())
    try:
        async with asyncio.timeout(SPAWN_S):
            return brood, [await brood.spawn() for _ in range(spares)]
    except BaseException:
        await brood.nursery.stop()
        raise

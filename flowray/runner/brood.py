"""One zygote with the sandboxes that were forked from it: how worn it is, and how many of them are at work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
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

    async def spawn_some(self, number: int) -> Sequence[Taken | BaseException]:
        """Fork some at once; what became of each. Who is cancelled meanwhile leaves none behind."""
        spawning = [asyncio.create_task(self.spawn(), name="spawn a sandbox") for _ in range(number)]
        try:
            return await asyncio.gather(*spawning, return_exceptions=True)
        except asyncio.CancelledError:
            for one in spawning:
                one.add_done_callback(_close_unwanted)
            await asyncio.wait(spawning)
            raise


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
    parked: list[Taken] = []
    try:
        async with asyncio.timeout(SPAWN_S):
            while len(parked) < spares:
                parked.append(await brood.spawn())
    except BaseException:
        for one in parked:
            one.sandbox.close()
        await brood.nursery.stop()
        raise
    return brood, parked


def _close_unwanted(spawned: asyncio.Task[Taken]) -> None:
    if not spawned.cancelled() and spawned.exception() is None:
        spawned.result().sandbox.close()

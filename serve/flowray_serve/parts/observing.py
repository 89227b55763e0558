"""What a process counts, and who tells all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from flowray.engine.events import Recorded
from flowray.observe import families as of
from flowray.observe.meter import Meter
from flowray.observe.runs import count
from flowray.stores.dead_letters import DeadLetter
from flowray.stores.redis_totals import RedisTotals


class Observing:
    """A process's meter, and the work of handing on what it counts."""

    def __init__(self, redis: Any) -> None:
        self.totals = RedisTotals(redis)
        self.meter = Meter(self.totals)
        self._work = asyncio.create_task(self.meter.work(), name="hand on what was counted")

    async def close(self) -> None:
        """Hand on the rest."""
        self._work.cancel()
        await asyncio.wait([self._work])
        await self.meter.close()


def count_run(meter: Meter, recorded: Sequence[Recorded]) -> None:
    """Count a run that is over, by its journal."""
    count(recorded, meter.tally)


def count_letter(meter: Meter, tenant: str, letter: DeadLetter) -> None:
    """Count what was given up."""
    name = letter.flow_name or letter.flow
    meter.tally.add(of.DEAD_LETTERS, tenant, name, letter.flow, letter.node, letter.what)

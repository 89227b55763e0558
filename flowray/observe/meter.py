"""What one process counts, on its way to what all have counted together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

from flowray.errors import FlowRayError
from flowray.observe.tally import Series, Tally
from flowray.observe.totals import Totals

log = logging.getLogger(__name__)
_EVERY_S = 2.0
# Somebody who looks twice a minute, as Prometheus mostly does, has seen the 0 by then.
_YOUNG_S = 40.0
_MOST_KNOWN = 100_000
_LONGEST_CHARS = 200


class Meter:
    """Counts into its `tally`, and hands on every two seconds.

    A series that this process has not told of before is told of as 0, and gets its first amounts 40 s later: to who
    reads it as a rate, a series that begins with 1 has not moved, and a node's first failure is the one to see.
    """

    def __init__(self, totals: Totals, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.tally = Tally()
        self._totals = totals
        self._clock = clock
        self._told_at: dict[Series, float] = {}

    async def work(self) -> None:
        """Hand on until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self.hand_on()
            except FlowRayError as error:
                log.warning("Not counted yet", extra={"action": "metrics_failed", "reason": error.message})

    async def close(self) -> None:
        """Hand on all there is, young or not."""
        self._told_at.update(dict.fromkeys(map(_short, self.tally.amounts), float("-inf")))
        try:
            await self.hand_on()
        except FlowRayError as error:
            log.warning("Not counted", extra={"action": "metrics_failed", "reason": error.message})

    async def hand_on(self) -> None:
        """Add to the totals what is due; what cannot be added now is kept for the next time."""
        taken, self.tally = self.tally, Tally()
        due: defaultdict[Series, float] = defaultdict(float)
        for long, amount in taken.amounts.items():
            series = _short(long)
            if self._is_young(series):
                self.tally.amounts[series] += amount
            else:
                due[series] += amount
        new = [series for series in self.tally.amounts if series not in self._told_at]
        if due or new:
            await self._tell({**dict.fromkeys(new, 0.0), **due})

    async def _tell(self, amounts: Mapping[Series, float]) -> None:
        try:
            await self._totals.add(amounts)
        except FlowRayError:
            for series, amount in amounts.items():
                if amount:
                    self.tally.amounts[series] += amount
            raise
        now = self._clock()
        for series in amounts:
            self._told_at.setdefault(series, now)
        for series in list(self._told_at)[:-_MOST_KNOWN]:
            del self._told_at[series]

    def _is_young(self, series: Series) -> bool:
        told_at = self._told_at.get(series)
        return told_at is None or self._clock() - told_at < _YOUNG_S


def _short(series: Series) -> Series:
    """The same with names that fit and that UTF-8 has: one that it has not would take all of them off the page."""
    return series._replace(
        labels=tuple(label[:_LONGEST_CHARS].encode(errors="replace").decode() for label in series.labels)
    )

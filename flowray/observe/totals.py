"""What the processes of a service have counted together: the port, and its implementation for one process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Protocol

from flowray.observe.tally import Series


class Totals(Protocol):
    """Sums that only grow, until all of them are lost."""

    async def add(self, amounts: Mapping[Series, float]) -> None:
        """Add these; an amount of 0 makes a series known. `StoreUnavailableError` when they may not have been added."""

    async def read(self, tenants: Collection[str] | None = None) -> Mapping[Series, float]:
        """The sums of these tenants' series, or of all."""


class MemoryTotals:
    """The sums of one process."""

    def __init__(self) -> None:
        self._sums: defaultdict[Series, float] = defaultdict(float)

    async def add(self, amounts: Mapping[Series, float]) -> None:
        """See `Totals`."""
        for series, amount in amounts.items():
            self._sums[series] += amount

    async def read(self, tenants: Collection[str] | None = None) -> Mapping[Series, float]:
        """See `Totals`."""
        return {series: total for series, total in self._sums.items() if tenants is None or series.tenant in tenants}

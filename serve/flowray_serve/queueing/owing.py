"""Callbacks that are owed: in the record until they are taken or given up, and on a list by when they are due."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from flowray.engine.events import RunId
from flowray.stores.due import Due, DueList
from flowray.stores.owed import Owed


class Owing:
    """What is owed, wherever it is noted."""

    def __init__(self, owed: Owed, due: DueList) -> None:
        self._owed = owed
        self._due = due

    async def add(self, tenant: str, run: RunId) -> None:
        """Owe a callback, due now; owing it already does no harm."""
        await self._owed.add(tenant, run)
        await self._due.add(tenant, run)

    async def again(self, tenant: str, run: RunId) -> bool:
        """Owe once more what was given up and has a dead letter; False while it is still on the list.

        The list first: what is on it already may be forgotten in the next moment by whoever gives it up.
        """
        if not await self._due.add(tenant, run):
            return False
        await self._owed.add(tenant, run)
        return True

    async def take(self, *, limit: int, for_s: float, passing: Collection[str] = ()) -> Sequence[Due]:
        """What is due, for this one alone for so many seconds: see `DueList.take`."""
        return await self._due.take(limit=limit, for_s=for_s, passing=passing)

    async def is_owed(self, due: Due) -> bool:
        """Whether the record has it; what is on the list alone is a remnant."""
        return await self._owed.has(due.tenant, due.run)

    async def later(self, due: Due, *, in_s: float) -> None:
        """Try it again after a time."""
        await self._due.later(due, in_s=in_s)

    async def settle(self, due: Due) -> None:
        """It is owed no longer. The list last: until it has left that, nobody owes it `again`."""
        await self._owed.remove(due.tenant, due.run)
        await self._due.done(due)

    async def refill(self) -> int:
        """Put on the list whatever the record holds; how many there are."""
        count = 0
        async for tenant, run in self._owed.all():
            await self._due.add(tenant, run)
            count += 1
        return count

"""Who waits for a spare: the heavier come first, and nobody waits for ever behind them.

The heavier a job, the fewer steps its tenant runs.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

_T = TypeVar("_T")
# A step of a tenant that runs thirty others lets those come first that arrive within the next third of a second: about
# as long as a burst of it takes to be served.
_STEP_S = 0.01
_FULL_WEIGHT = 100
# A tenant that runs one step, or two, is no flood.
_FEW = 50
# Who is so late goes before all others, however few steps those have.
_LONG_S = 10.0


def has_few(weight: int) -> bool:
    """Whether a job of this weight is of a tenant with few steps."""
    return weight >= _FEW


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Who asks for a spare. A `lent` turn is that of a job which waits for this one."""

    tenant: str
    weight: int
    lent: bool

    @property
    def of_few(self) -> bool:
        """Whether its tenant runs few steps."""
        return has_few(self.weight)


class Waiting(Generic[_T]):
    """Those who wait, by when they are due: their arrival, and later the less they weigh."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, asyncio.Future[_T]]] = []
        self._few: list[tuple[float, int, asyncio.Future[_T]]] = []
        self._there: set[asyncio.Future[_T]] = set()
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._there)

    def add(self, waiting: asyncio.Future[_T], *, weight: int, at_once: bool = False) -> None:
        """One more; 100 is the weight of a step whose tenant runs no other. `at_once` is before all others."""
        due = 0.0 if at_once else self._clock() + _STEP_S * _FULL_WEIGHT / max(weight, 1)
        entry = due, next(self._numbers), waiting
        heapq.heappush(self._heap, entry)
        if at_once or has_few(weight):
            heapq.heappush(self._few, entry)
        self._there.add(waiting)

    def remove(self, waiting: asyncio.Future[_T]) -> bool:
        """It waits no more; whether it did."""
        if waiting not in self._there:
            return False
        self._there.remove(waiting)
        return True

    def first(self, *, of_few: bool = False) -> asyncio.Future[_T] | None:
        """Who is next, of all or of those whose tenants run few steps, and of those that have waited too long."""
        first = self._head(self._heap)
        if not of_few or first is None or self._heap[0][0] + _LONG_S <= self._clock():
            return first
        return self._head(self._few)

    def _head(self, heap: list[tuple[float, int, asyncio.Future[_T]]]) -> asyncio.Future[_T] | None:
        """Those that were given something, or gave up, are passed over."""
        while heap:
            waiting = heap[0][2]
            if waiting in self._there and not waiting.done():
                return waiting
            heapq.heappop(heap)
            self._there.discard(waiting)
        return None

    def all(self) -> Iterator[asyncio.Future[_T]]:
        """All of them."""
        return iter(tuple(self._there))

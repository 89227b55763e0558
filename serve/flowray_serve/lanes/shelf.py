"""Flows that both ends of a lane still have, so that a run need not send its flow again.

Both ends keep one and give it the same orders in the same sequence, so the engine knows what the Runner has forgotten
without asking.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

BUDGET_BYTES = 32 * 1024 * 1024

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Shelf(Generic[K, V]):
    """Values by key. Over the budget, the least recently used go; never the newest."""

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self._budget_bytes = budget_bytes
        self._held: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: K) -> V | None:
        """Return the value, used just now; None when it is not here."""
        held = self._held.get(key)
        if held is None:
            return None
        self._held.move_to_end(key)
        return held[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a new value; others may have to go."""
        self._held[key] = (value, size)
        self._bytes += size
        while self._bytes > self._budget_bytes and len(self._held) > 1:
            _, (_, gone) = self._held.popitem(last=False)
            self._bytes -= gone

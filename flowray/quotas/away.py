"""Counts that all replicas share, and are left alone for a while when they do not answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from flowray.errors import StoreUnavailableError

_AWAY_S = 1.0

T = TypeVar("T")


class Away:
    """Knows whether the shared ones are away: once they did not answer, nobody asks them for a second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until = 0.0

    async def asked(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """What they answer; None while they are away."""
        if self._clock() < self._until:
            return None
        try:
            return await ask()
        except StoreUnavailableError:
            self._until = self._clock() + _AWAY_S
            return None

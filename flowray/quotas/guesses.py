"""Who guesses keys waits longer and longer. A source that has failed often is not answered for a while."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from flowray.quotas.away import Away

_IPV6_SHARED_BITS, _IPV4 = 64, 4


@dataclass(frozen=True, kw_only=True)
class Patience:
    """So many failures are free; then each makes the source wait twice as long as the one before."""

    free: int = 10
    first_s: float = 1.0
    longest_s: float = 300.0
    forgotten_s: float = 900.0

    def wait_s(self, failures: int) -> float:
        """How long a source waits after so many."""
        doublings = min(failures - self.free, 20)
        return 0.0 if doublings <= 0 else min(self.first_s * 2.0 ** (doublings - 1), self.longest_s)


class Guesses(Protocol):
    """Failed attempts by source."""

    async def wait_s(self, source: str) -> float:
        """How long this source is not answered yet."""

    async def failed(self, source: str, attempt: str) -> float:
        """Note a failed attempt; how long the source is not answered now. The same attempt again is no new guess."""


@dataclass(frozen=True)
class _Failures:
    count: int
    last_at: float
    until: float
    last: str


class MemoryGuesses:
    """Those of one process; only so many sources are kept."""

    def __init__(
        self,
        *,
        patience: Patience | None = None,
        capacity: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = patience or Patience()
        self._capacity = capacity
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    async def wait_s(self, source: str) -> float:
        """See `Guesses`."""
        known = self._failures.get(block(source))
        return max(0.0, known.until - self._clock()) if known is not None else 0.0

    async def failed(self, source: str, attempt: str) -> float:
        """See `Guesses`."""
        place, now = block(source), self._clock()
        known = self._failures.get(place)
        if known is not None and known.last == attempt:
            return await self.wait_s(source)
        self._failures.pop(place, None)
        count = 1 if known is None or now - known.last_at > self._patience.forgotten_s else known.count + 1
        wait_s = self._patience.wait_s(count)
        self._failures[place] = _Failures(count, now, now + wait_s, attempt)
        if len(self._failures) > self._capacity:
            self._failures.popitem(last=False)
        return wait_s


class SteadyGuesses:
    """Those of all replicas, or while the shared ones are away, what this process has seen: bounded, and never open."""

    def __init__(self, shared: Guesses, local: Guesses, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._shared = shared
        self._local = local
        self._away = Away(clock)

    async def wait_s(self, source: str) -> float:
        """See `Guesses`."""
        found = await self._away.asked(lambda: self._shared.wait_s(source))
        return await self._local.wait_s(source) if found is None else found

    async def failed(self, source: str, attempt: str) -> float:
        """See `Guesses`."""
        seen_s = await self._local.failed(source, attempt)  # always: so that it knows when the others go away
        found = await self._away.asked(lambda: self._shared.failed(source, attempt))
        return seen_s if found is None else found


def block(source: str) -> str:
    """Where a source belongs to: whoever has one IPv6 address has 2**64 of them."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source
    if address.version == _IPV4:
        return source
    return str(ipaddress.ip_network((address, _IPV6_SHARED_BITS), strict=False))

"""Who guesses keys waits longer and longer. A source that has failed often is not answered for a while."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_FREE, _FIRST_WAIT_S, _LONGEST_WAIT_S = 10, 1.0, 300.0
_FORGOTTEN_AFTER_S = 900.0
_IPV6_SHARED_BITS = 64


@dataclass(frozen=True)
class _Failures:
    count: int
    last_at: float
    until: float
    last: str


class Guesses:
    """Failed attempts by source: some are free, then each makes the source wait twice as long as the one before."""

    def __init__(self, *, capacity: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    @property
    def is_quiet(self) -> bool:
        """Whether nobody has failed lately."""
        return not self._failures

    def wait_s(self, source: str) -> float:
        """How long this source is not answered yet."""
        known = self._failures.get(_block(source))
        return max(0.0, known.until - self._clock()) if known is not None else 0.0

    def failed(self, source: str, attempt: str) -> float:
        """Note a failed attempt; how long the source is not answered now. The same attempt again is no new guess."""
        block, now = _block(source), self._clock()
        known = self._failures.get(block)
        if known is not None and known.last == attempt:
            return self.wait_s(source)
        self._failures.pop(block, None)
        count = 1 if known is None or now - known.last_at > _FORGOTTEN_AFTER_S else known.count + 1
        doublings = min(count - _FREE, 20)
        wait_s = 0.0 if doublings <= 0 else min(_FIRST_WAIT_S * 2 ** (doublings - 1), _LONGEST_WAIT_S)
        self._failures[block] = _Failures(count, now, now + wait_s, attempt)
        if len(self._failures) > self._capacity:
            self._failures.popitem(last=False)
        return wait_s


def _block(source: str) -> str:
    """Whoever has one IPv6 address has 2**64 of them."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source
    if address.version == 4:  # noqa: PLR2004 - the other one is 6
        return source
    return str(ipaddress.ip_network((address, _IPV6_SHARED_BITS), strict=False))

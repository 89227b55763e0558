"""Where token buckets are kept: the port, the ones of a process, and what holds when the shared ones are away."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from flowray.quotas.away import Away
from flowray.quotas.rate import Bucket, Rate, Taken

_MOST_BUCKETS = 100_000


class Buckets(Protocol):
    """Buckets by name."""

    async def take(self, asked: Sequence[tuple[str, Rate]]) -> Sequence[Taken]:
        """Take one from each of these, or from none when one of them is empty; how each stands then."""


class MemoryBuckets:
    """Buckets of one process. The least recently used are forgotten, which is to say full, beyond a large number."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    async def take(self, asked: Sequence[tuple[str, Rate]]) -> Sequence[Taken]:
        """See `Buckets`."""
        now = self._clock()
        tried = [(name, *self._buckets.get(name, Bucket()).take(rate, now)) for name, rate in asked]
        if all(taken.allowed for _, _, taken in tried):
            for name, bucket, _ in tried:
                self._buckets[name] = bucket
                self._buckets.move_to_end(name)
            while len(self._buckets) > _MOST_BUCKETS:
                self._buckets.popitem(last=False)
        return [taken for _, _, taken in tried]


class SteadyBuckets:
    """Shared buckets, or while they are away this process's own at its part of each rate: bounded, and never open.

    `replicas` is how many processes there are, so all together they let through no more than the rates. While the
    shared buckets do not answer they are asked once a second.
    """

    def __init__(
        self,
        shared: Buckets,
        *,
        replicas: int,
        local: Buckets,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shared = shared
        self._local = local
        self._replicas = replicas
        self._away = Away(clock)

    async def take(self, asked: Sequence[tuple[str, Rate]]) -> Sequence[Taken]:
        """See `Buckets`."""
        found = await self._away.asked(lambda: self._shared.take(asked))
        if found is not None:
            return found
        return await self._local.take([(name, _part(rate, self._replicas)) for name, rate in asked])


def _part(rate: Rate, replicas: int) -> Rate:
    return replace(rate, amount=rate.amount / replicas, burst=max(1, rate.burst // replicas))

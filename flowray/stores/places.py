"""Where the Runners can be reached: announcements that run out unless they are renewed.

A Runner that dies falls out by itself. Losing all announcements costs nothing that lasts: each Runner renews its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol, cast

import orjson
import redis.asyncio

from flowray.stores.redis import answered


@dataclass(frozen=True, kw_only=True)
class Place:
    """A Runner of a pool: `address` is `unix:PATH` or `tls:HOST:PORT`, `capacity` how many steps it runs at a time."""

    name: str
    pool: str
    address: str
    capacity: int


class Places(Protocol):
    """Who can be reached."""

    async def announce(self, place: Place, *, for_s: float) -> None:
        """Be found here until this time has passed; say it again to stay."""

    async def withdraw(self, place: Place) -> None:
        """Be found no longer."""

    async def all(self) -> Sequence[Place]:
        """Everyone whose announcement has not run out."""


class MemoryPlaces:
    """Places of this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[Place, float] = {}

    async def announce(self, place: Place, *, for_s: float) -> None:
        """See `Places`."""
        self._until[place] = self._clock() + for_s

    async def withdraw(self, place: Place) -> None:
        """See `Places`."""
        self._until.pop(place, None)

    async def all(self) -> Sequence[Place]:
        """See `Places`."""
        now = self._clock()
        return [place for place, until in self._until.items() if until > now]


class RedisPlaces:
    """Places of a service, in one sorted set by the second they run out; the time is Redis' own, for clocks differ."""

    def __init__(self, client: redis.asyncio.Redis, *, prefix: str = "flowray:") -> None:
        self._redis = client
        self._key = f"{prefix}places"

    async def announce(self, place: Place, *, for_s: float) -> None:
        """See `Places`."""
        async with answered(), self._redis.pipeline(transaction=True) as pipe:
            now = await self._now()
            pipe.zremrangebyscore(self._key, "-inf", now)
            pipe.zadd(self._key, {_member(place): now + for_s})
            await pipe.execute()

    async def withdraw(self, place: Place) -> None:
        """See `Places`."""
        async with answered():
            await self._redis.zrem(self._key, _member(place))

    async def all(self) -> Sequence[Place]:
        """See `Places`."""
        async with answered():
            members = await self._redis.zrangebyscore(self._key, await self._now(), "+inf")
        return [Place(**orjson.loads(cast("bytes", member))) for member in members]

    async def _now(self) -> float:
        seconds, micros = await self._redis.time()
        return float(seconds) + micros / 1_000_000


def _member(place: Place) -> bytes:
    return orjson.dumps(asdict(place), option=orjson.OPT_SORT_KEYS)

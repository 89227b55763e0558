"""The ends of runs, as Redis knows them: which wait for the archive, and which it has forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import redis.asyncio

from flowray.engine.codec import encode
from flowray.engine.events import Recorded, RunId
from flowray.engine.leasing import member_of, of_member
from flowray.stores.redis import answered
from flowray.stores.redis_keys import Keys

Run = tuple[str, RunId]


@dataclass(frozen=True, kw_only=True)
class Known:
    """What Redis has of a run: the number of its last event, its end as it is written, and whether it was counted."""

    last: int
    end: bytes | None
    is_counted: bool


class RedisEnds:
    """Journals that are on record stay in Redis for `keep_s` more, for those who look at a run that has just ended."""

    def __init__(self, client: redis.asyncio.Redis, *, prefix: str = "flowray:", keep_s: int = 60) -> None:
        self._redis = client
        self._keys = Keys(prefix)
        self._keep_s = keep_s

    async def waiting(self, *, limit: int, before: float | None = None) -> Sequence[Run]:
        """The runs that ended first, before a time when given, and that nobody has released."""
        until = "+inf" if before is None else before
        async with answered():
            found = await self._redis.zrangebyscore(self._keys.finished, "-inf", until, start=0, num=limit)
        return [of_member(member.decode()) for member in cast("list[bytes]", found)]

    async def put_off(self, runs: Sequence[Run], *, until: float) -> None:
        """Have these wait as if they had ended then, behind others; who was released meanwhile waits no more."""
        if not runs:
            return
        async with answered():
            await self._redis.zadd(self._keys.finished, {member_of(*one): until for one in runs}, xx=True)

    async def known(self, runs: Sequence[Run]) -> Sequence[Known]:
        """What Redis has of these runs."""
        async with answered(), self._redis.pipeline(transaction=False) as pipe:
            for tenant, run in runs:
                pipe.hmget(self._keys.run(tenant, run), ["last", "finished"])
                pipe.exists(self._keys.usage(tenant, "run", run))
            found = await pipe.execute()
        return [
            Known(last=int(last or 0), end=finished, is_counted=bool(mark))
            for (last, finished), mark in zip(found[::2], found[1::2], strict=True)
        ]

    async def overrule(self, tenant: str, run: RunId, end: Recorded) -> None:
        """Have a run end as it is on record, and be read from there."""
        async with answered(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(self._keys.run(tenant, run), mapping={"last": end.seq, "finished": encode(end)})
            pipe.delete(self._keys.journal(tenant, run))
            await pipe.execute()

    async def release(self, runs: Sequence[Run]) -> None:
        """Their journals are on record, and what followed from their ends is done."""
        if not runs:
            return
        async with answered(), self._redis.pipeline(transaction=True) as pipe:
            for tenant, run in runs:
                pipe.expire(self._keys.journal(tenant, run), self._keep_s)
            pipe.zrem(self._keys.finished, *(member_of(*one) for one in runs))
            await pipe.execute()

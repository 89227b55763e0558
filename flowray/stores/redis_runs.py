"""Which runs a tenant has had, newest first: an index in Redis that the archive can build anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import redis.asyncio

from flowray.engine.codec import decode, encode, from_json, loads
from flowray.engine.events import Recorded, RunId
from flowray.engine.summary import RunSummary, summary
from flowray.stores.archive import Archive, if_readable, unpacked_lines
from flowray.stores.redis import answered
from flowray.stores.redis_journal import MONTH_S, landmarks
from flowray.stores.redis_keys import Keys


class RedisRuns:
    """Reads what the journal notes of each run."""

    def __init__(self, client: redis.asyncio.Redis, archive: Archive, *, prefix: str = "flowray:") -> None:
        self._redis = client
        self._archive = archive
        self._keys = Keys(prefix)

    async def runs(self, tenant: str, *, limit: int, before: float | None = None) -> tuple[RunSummary, ...]:
        """The tenant's runs, newest first; only those accepted before a time, when given."""
        newest = "+inf" if before is None else f"({before}"
        async with answered():
            found = await self._redis.zrevrangebyscore(self._keys.runs(tenant), newest, "-inf", start=0, num=limit)
            async with self._redis.pipeline(transaction=False) as pipe:
                for run in cast("list[bytes]", found):
                    pipe.hmget(self._keys.run(tenant, run.decode()), ["accepted", "paused", "finished"])
                known = await pipe.execute()
        summaries = (summary(decode(line) for line in lines if line) for lines in known)
        return tuple(one for one in summaries if one is not None)

    async def forget(self, tenant: str, *, before: float) -> None:
        """List no longer what was accepted before a time."""
        async with answered():
            await self._redis.zremrangebyscore(self._keys.runs(tenant), "-inf", f"({before}")

    async def rebuild(self) -> int:
        """List the archived runs again, for a Redis that has lost everything; how many there are."""
        count = 0
        async for tenant, run, content in self._archive.all():
            with if_readable(tenant, run):
                await self._restore(tenant, run, _ends(unpacked_lines(content)))
                count += 1
        return count

    async def _restore(self, tenant: str, run: RunId, ends: Sequence[Recorded]) -> None:
        accepted_at, _, fields = landmarks(ends, [encode(one) for one in ends])
        async with answered(), self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(self._keys.run(tenant, run), items=[*fields, "last", ends[-1].seq])
            pipe.expire(self._keys.run(tenant, run), MONTH_S)
            pipe.zadd(self._keys.runs(tenant), {run: float(accepted_at)})
            await pipe.execute()


def _ends(lines: Sequence[bytes]) -> Sequence[Recorded]:
    """The first event and the last; what lies between need not be read."""
    return [from_json(loads(lines[0])[0]), from_json(loads(lines[-1])[-1])]

"""The queue in Redis: every move of a run is one script, so that it is in exactly one place whatever dies.

Keys are made inside the scripts, from the prefix: this wants one Redis (with replicas, if you like), not a cluster of
shards. The time is Redis' own. Losing all of it loses no run: `Recovery` offers again what the record holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import redis.asyncio

from flowray.engine.events import RunId
from flowray.engine.leasing import (
    Kept,
    Lease,
    QueueFullError,
    QueueStats,
    Renewed,
    StoreForgotError,
    Turns,
    Waiting,
    by_member,
    member_of,
    of_member,
)
from flowray.stores import queue_scripts as scripts
from flowray.stores.redis import answered
from flowray.stores.redis_keys import Keys

_KEPT: Sequence[Kept] = ("lost", "kept", "unknown", "kept")
_FORGOT_AND_KEPT = 3
_FIELDS_OF_A_LEASE = 4
_FULL = _FORGOT = -1
# Longer than an engine takes to renew what it has, which it does three times in a lease.
SURE_AFTER_S = 10.0
SETTLES_S = 5.0


class RedisQueue:
    """See `flowray.engine.leasing.Queue`. `turns` says whose run is next; without it, tenants take turns.

    A Redis that has been up for less than `sure_after_s` may have lost leases that are not claimed again yet. One that
    was started again hands out nothing for the first `settles_s` that it is asked.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        *,
        turns: Turns | None = None,
        prefix: str = "flowray:",
        sure_after_s: float = SURE_AFTER_S,
        settles_s: float = SETTLES_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._sure_after_s = sure_after_s
        self._settles_s = settles_s
        self._redis = client
        self._turns = turns
        self._prefix = prefix
        self._keys = Keys(prefix)
        self._scripts = {name: client.register_script(text) for name, text in scripts.ALL.items()}

    async def offer(self, tenant: str, run: RunId, *, at: float, most: int | None = None) -> bool:
        """See `Queue`."""
        self._keys.run(tenant, run)  # refuses what is no id
        offered = await self._do("offer", tenant, run, at, "" if most is None else most)
        if offered == _FULL:
            raise QueueFullError.of(tenant, most or 0)
        return bool(offered)

    async def knows(self, tenant: str, run: RunId, *, begun: str = "") -> bool:
        """See `Queue`; `begun` is what `flowray.stores.upkeep.RedisUpkeep.begin` said of `runs`."""
        return await self._unless_forgot("knows", tenant, run, begun)

    async def recover(self, tenant: str, run: RunId, *, at: float, begun: str = "") -> bool:
        """See `Queue`."""
        return await self._unless_forgot("recover", tenant, run, begun, at)

    async def _unless_forgot(self, name: str, tenant: str, run: RunId, begun: str, *more: Any) -> bool:
        self._keys.run(tenant, run)
        token, _, process = begun.partition("/")
        told = await self._do(name, tenant, run, token, process, self._sure_after_s, *more)
        if told == _FORGOT:
            raise _forgot()
        return bool(told)

    async def take(self, holder: str, *, limit: int, for_s: float) -> Sequence[Lease]:
        """See `Queue`."""
        order: Sequence[str] = ()
        if self._turns is not None and (waiting := await self.waiting()):
            order = await self._turns.next(waiting, limit)
        chosen = "chosen" if self._turns is not None else "turns"
        return _leases(await self._do("take", holder, limit, for_s, self._settles_s, chosen, *order[:limit]))

    async def claim(self, tenant: str, run: RunId, *, holder: str, for_s: float) -> Lease | None:
        """See `Queue`."""
        self._keys.run(tenant, run)
        told = await self._do("claim", tenant, run, holder, for_s, self._settles_s)
        if told == _FORGOT:
            raise _forgot()
        return next(iter(_leases(told)), None)

    async def renew(self, leases: Sequence[Lease], *, for_s: float, reclaim: bool = False) -> Sequence[Renewed]:
        """See `Queue`."""
        if not leases:
            return ()
        words = [word for member, lease in by_member(leases).items() for word in (member, lease.number)]
        told = await self._do("renew", for_s, int(reclaim), *words)
        return [_renewed(lease, int(told[2 * at]), told[2 * at + 1]) for at, lease in enumerate(leases)]

    async def done(self, lease: Lease) -> None:
        """See `Queue`."""
        await self._do("leave", member_of(lease.tenant, lease.run), lease.number, "done", "")

    async def give_back(self, lease: Lease) -> None:
        """See `Queue`."""
        await self._do("leave", member_of(lease.tenant, lease.run), lease.number, "waiting", "")

    async def park(self, lease: Lease, *, until: float | None = None) -> None:
        """See `Queue`."""
        # Whoever has parked it finds it due by the same clock; by Redis' own it might be too early, again and again.
        in_s = "" if until is None else until - self._clock()
        await self._do("leave", member_of(lease.tenant, lease.run), lease.number, "parked", in_s)

    async def parked(self, tenant: str) -> Sequence[RunId]:
        """See `Queue`."""
        told = await self._do("parked", tenant)
        return [RunId(_text(run)) for run in told]

    async def bell(self, *, within_s: float) -> bool:
        """See `Queue`."""
        async with answered(within_s=within_s + 5):
            rung = await self._redis.blpop([f"{self._prefix}queue:bell"], timeout=within_s)
        return rung is not None

    async def waiting(self) -> Sequence[Waiting]:
        """See `Queue`."""
        told = await self._do("waiting")
        rows = [told[at : at + 3] for at in range(0, len(told), 3)]
        return [Waiting(tenant=_text(row[0]), length=int(row[1]), oldest_at=float(row[2])) for row in rows]

    async def length(self, tenant: str) -> int:
        """See `Queue`."""
        async with answered():
            return int(await self._redis.zcard(self._keys.queued(tenant)))

    async def stats(self) -> QueueStats:
        """See `Queue`."""
        waiting, leased, parked, oldest = await self._do("stats")
        return QueueStats(waiting=int(waiting), leased=int(leased), parked=int(parked), oldest_s=float(oldest))

    async def _do(self, name: str, *words: Any) -> Any:
        async with answered():
            return await self._scripts[name]([], [self._prefix, *words])


def _renewed(lease: Lease, answer: int, cancel: Any) -> Renewed:
    return Renewed(lease=lease, kept=_KEPT[answer], cancel=_text(cancel), forgot=answer == _FORGOT_AND_KEPT)


def _forgot() -> StoreForgotError:
    return StoreForgotError("Redis has lost something a moment ago; whoever drives runs claims them again first.")


def _leases(told: Any) -> list[Lease]:
    words = cast("list[Any]", told or [])
    rows = [words[at : at + _FIELDS_OF_A_LEASE] for at in range(0, len(words), _FIELDS_OF_A_LEASE)]
    return [_lease(*row) for row in rows]


def _lease(member: Any, number: Any, takes: Any, cancel: Any) -> Lease:
    tenant, run = of_member(_text(member))
    return Lease(tenant=tenant, run=run, number=int(number), takes=int(takes), cancel=_text(cancel))


def _text(word: Any) -> str:
    return word.decode() if isinstance(word, bytes) else str(word or "")

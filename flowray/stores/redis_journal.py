"""Journals in Redis while they are hot; in the archive once their runs are over."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Final, Literal

import redis.asyncio

from flowray.engine.codec import encode, from_json, loads
from flowray.engine.events import Recorded, RunAccepted, RunFinished, RunId, RunPaused, RunStarted
from flowray.errors import FlowRayError
from flowray.stores.archive import Archive
from flowray.stores.memory_journal import (
    check_numbers,
    fenced,
    journal_conflict,
    journal_gap,
    lease_forgotten,
    unknown_run,
)
from flowray.stores.paths import is_segment
from flowray.stores.redis import BLOCK_S, answered, batches
from flowray.stores.redis_keys import Keys

_ENTRIES_READ_AT_ONCE: Final = 200
_HOUR_S: Final = 3_600
MONTH_S: Final = 30 * 86_400

# One round trip per append. KEYS: the run's stream, what is to know about it, the tenant's runs, the finished runs, the
# open ones.
# ARGV: first seq, last seq, events, mark, lease, seconds to keep, member of the finished, runs to list, accepted at,
# finished at, seconds to know a run that is listed no more and on record, and the fields to know. The mark tells an
# append that comes twice, because its answer was lost, from one of another engine; the lease one of an engine that has
# the run no more. Answers: see `_REFUSED`, and the last seq.
_APPEND: Final = """
local last, mark, finished, lease = unpack(redis.call('HMGET', KEYS[2], 'last', 'mark', 'finished', 'lease'))
if mark == ARGV[4] then return {0, 0} end
if finished then return {1, 0} end
if tonumber(ARGV[5]) > tonumber(lease or 0) then return {3, 0} end
if ARGV[5] ~= (lease or '0') then return {2, 0} end
last = tonumber(last or 0)
if tonumber(ARGV[1]) > last + 1 then return {4, last} end
if tonumber(ARGV[1]) ~= last + 1 then return {1, 0} end
redis.call('XADD', KEYS[1], ARGV[2] .. '-0', 'events', ARGV[3])
redis.call('HSET', KEYS[2], 'last', ARGV[2], 'mark', ARGV[4], unpack(ARGV, 12))
redis.call('EXPIRE', KEYS[1], ARGV[6])
redis.call('EXPIRE', KEYS[2], ARGV[6])
if ARGV[9] ~= '' then
  redis.call('ZADD', KEYS[3], ARGV[9], string.match(ARGV[7], '[^/]*$'))
  redis.call('ZADD', KEYS[5], ARGV[9], ARGV[7])
  local surplus = math.min(redis.call('ZCARD', KEYS[3]) - ARGV[8], 100)
  local unlisted = surplus > 0 and redis.call('ZPOPMIN', KEYS[3], surplus) or {}
  for at = 1, #unlisted, 2 do
    local known = string.match(KEYS[2], '^.*:') .. unlisted[at]
    local waits = redis.call('ZSCORE', KEYS[4], string.match(ARGV[7], '^[^/]*/') .. unlisted[at])
    if not waits and redis.call('HEXISTS', known, 'finished') == 1 then redis.call('EXPIRE', known, ARGV[11]) end
  end
end
if ARGV[10] ~= '' then
  redis.call('ZADD', KEYS[4], ARGV[10], ARGV[7])
  redis.call('ZREM', KEYS[5], ARGV[7])
end
return {0, 0}
"""
_REFUSED: Final[Mapping[int, Callable[[RunId], FlowRayError]]] = {1: journal_conflict, 2: fenced, 3: lease_forgotten}
_GAP: Final = 4


class RedisJournal:
    """One stream per run, with an entry per append whose id is the seq of its last event.

    What nobody finishes or archives is forgotten after `keep_s`. The newest `list_runs` of a tenant can be listed; what
    is known of an archived one beyond these is forgotten soon.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        archive: Archive,
        *,
        prefix: str = "flowray:",
        keep_s: int = MONTH_S,
        list_runs: int = 10_000,
    ) -> None:
        self._redis = client
        self._archive = archive
        self._keys = Keys(prefix)
        self._keep_s = keep_s
        self._list_runs = list_runs
        self._append = client.register_script(_APPEND)

    async def append(self, tenant: str, events: Sequence[Recorded], *, lease: int = 0) -> None:
        """See `flowray.engine.ports.Journal`."""
        if not events:
            return
        check_numbers(events)
        run, keys = events[0].run, self._keys
        lines = [encode(one) for one in events]
        accepted_at, finished_at, fields = landmarks(events, lines)
        batch = b"[" + b",".join(lines) + b"]"
        arguments = [
            *(events[0].seq, events[-1].seq, batch, hashlib.blake2b(batch, digest_size=8).digest(), lease),
            *(self._keep_s, f"{tenant}/{run}", self._list_runs, accepted_at, finished_at, _HOUR_S, *fields),
        ]
        names = [keys.journal(tenant, run), keys.run(tenant, run), keys.runs(tenant), keys.finished, keys.open]
        async with answered():
            refused, last = await self._append(names, arguments)
        if refused == _GAP:
            raise journal_gap(run, last)
        if refused:
            raise _REFUSED[refused](run)

    async def read(
        self, tenant: str, run: RunId, *, after: int = 0, follow: bool = False
    ) -> AsyncGenerator[Recorded, None]:
        """See `flowray.engine.ports.Journal`."""
        if not is_segment(run):
            raise unknown_run(run)
        seen = after
        async for batch in self._hot(tenant, run, after=seen, follow=follow):
            for recorded in batch:
                yield recorded
                seen = recorded.seq
        if await self._state(tenant, run) != "gone":
            return
        archived = await self._archive.find(tenant, run)
        if archived is None:
            raise unknown_run(run)
        for recorded in archived[seen:]:
            yield recorded

    async def _hot(
        self, tenant: str, run: RunId, *, after: int, follow: bool
    ) -> AsyncGenerator[Sequence[Recorded], None]:
        """The batches in Redis, until the run is over, or there are no more and nobody wants to wait."""
        wait_s, is_open = 0.0, True
        while True:
            batch = await self._next(tenant, run, after=after, wait_s=wait_s)
            if batch:
                yield batch
                after = batch[-1].seq
                if isinstance(batch[-1].event, RunFinished):
                    return
            elif not follow or not is_open:
                return
            else:
                # Its last events may have come since that look: it is over once another one finds nothing either.
                is_open = await self._state(tenant, run) == "open"
                wait_s = BLOCK_S if is_open else 0.0

    async def _next(self, tenant: str, run: RunId, *, after: int, wait_s: float) -> list[Recorded]:
        stream = self._keys.journal(tenant, run)
        found = await batches(self._redis, stream, after=after, count=_ENTRIES_READ_AT_ONCE, wait_s=wait_s)
        events = (from_json(plain) for batch in found for plain in loads(batch))
        return [recorded for recorded in events if recorded.seq > after]

    async def _state(self, tenant: str, run: RunId) -> Literal["open", "over", "gone"]:
        async with answered(), self._redis.pipeline(transaction=True) as pipe:
            pipe.exists(self._keys.journal(tenant, run))
            pipe.hexists(self._keys.run(tenant, run), "finished")
            is_there, is_over = await pipe.execute()
        if not is_there:
            return "gone"
        return "over" if is_over else "open"


def landmarks(events: Sequence[Recorded], lines: Sequence[bytes]) -> tuple[float | str, float | str, list[str | bytes]]:
    """When a run was accepted and finished, empty when these events do not say so, and the fields to know it by."""
    accepted_at: float | str = ""
    finished_at: float | str = ""
    fields: list[str | bytes] = []
    for recorded, line in zip(events, lines, strict=True):
        if isinstance(recorded.event, RunAccepted):
            accepted_at = recorded.at
            fields += ["accepted", line]
        elif isinstance(recorded.event, RunStarted):
            fields += ["engine", recorded.event.engine, "paused", ""]
        elif isinstance(recorded.event, RunPaused):
            fields += ["paused", line]
        elif isinstance(recorded.event, RunFinished):
            finished_at = recorded.at
            fields += ["finished", line]
    return accepted_at, finished_at, fields

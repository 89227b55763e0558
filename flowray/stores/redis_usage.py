"""What tenants have used, added up in Redis by day; the archived journals are the record, and can be counted again.

A run is counted when its journal is archived, under a mark that only one count can set. Days that are long over are
kept in the object store as well, since journals go when their time is up.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import redis.asyncio

from flowray.engine.codec import EventFormatError, dumps, from_json, loads
from flowray.engine.events import Recorded, RunId
from flowray.errors import NotFoundError
from flowray.quotas.prices import Prices
from flowray.quotas.usage import Row, UsageBook, Uses, day_of, fold, total
from flowray.stores.archive import Archive, if_readable, lines_of, unpacked_lines
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import path
from flowray.stores.redis import answered
from flowray.stores.redis_keys import Keys
from flowray.stores.usage_adding import Adding

log = logging.getLogger(__name__)
_DAY_S = 86_400
# The most frequent kinds of events, which count nothing.
_FREE = frozenset({"token", "log", "message_added", "node_started", "node_finished", "step_queued", "step_started"})
# KEYS: how often each day was changed. ARGV: a day, and the number that was read before it was kept (0: none).
_SETTLE = """
if tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0) ~= tonumber(ARGV[2]) then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
"""


class RedisUsageBook:
    """See `flowray.quotas.usage.UsageBook`."""

    def __init__(self, client: redis.asyncio.Redis, *, prefix: str = "flowray:") -> None:
        self._redis = client
        self._key = Keys(prefix).usage
        self._adding = Adding(client, Keys(prefix))
        self._settle = client.register_script(_SETTLE)

    async def add(self, tenant: str, run: str, uses: Uses) -> bool:
        """See `UsageBook`."""
        return await self._adding.add(tenant, run, uses)

    async def uses(self, tenant: str, days: Sequence[str]) -> Uses:
        """See `UsageBook`."""
        async with answered(), self._redis.pipeline(transaction=False) as pipe:
            for day in days:
                pipe.hgetall(self._key(tenant, "day", day))
            found = await pipe.execute()
        uses: defaultdict[Row, dict[str, float]] = defaultdict(dict)
        for day, fields in zip(days, found, strict=True):
            for field, amount in fields.items():
                flow, node, model, measure = loads(field)
                uses[Row(day, flow, node, model)][measure] = float(amount)
        return uses

    async def totals(self, tenant: str, days: Sequence[str]) -> Mapping[str, float]:
        """See `UsageBook`."""
        return total(await self.uses(tenant, days))

    async def changes(self, tenant: str) -> Mapping[str, int]:
        """The days of which not all is kept, each with a number that grows as something is added."""
        async with answered():
            found = await cast("Any", self._redis.hgetall(self._key(tenant, "days", "changed")))
        return {day.decode(): int(number) for day, number in sorted(found.items())}

    async def settle(self, tenant: str, day: str, number: int) -> bool:
        """Have a day count as kept; False when something was added, or kept by somebody else, since this number."""
        async with answered():
            return bool(await self._settle([self._key(tenant, "days", "changed")], [day, number]))


def _untold(_recorded: Sequence[Recorded]) -> None:
    """Tell nobody."""


class CountedArchive(Archive):
    """An archive that has each journal counted before it keeps it. Counting twice adds nothing.

    `counted` is told of each journal that was not counted before.
    """

    def __init__(
        self,
        objects: ObjectStore,
        book: UsageBook,
        prices: Prices,
        *,
        counted: Callable[[Sequence[Recorded]], None] = _untold,
    ) -> None:
        super().__init__(objects)
        self._book = book
        self._prices = prices
        self._counted = counted

    async def keep(self, tenant: str, run: RunId, lines: Iterable[bytes]) -> None:
        """See `Archive`."""
        lines = list(lines)
        try:
            await self.count(tenant, run, [from_json(plain) for line in lines for plain in loads(line)])
        except EventFormatError as error:
            # A journal that a later version wrote has to be archived all the same.
            log.warning("Run not counted", extra={"action": "count_failed", "run": run, "reason": error.message})
        await super().keep(tenant, run, lines)

    async def keep_all(self, tenant: str, run: RunId, recorded: Iterable[Recorded]) -> None:
        """See `Archive`."""
        recorded = list(recorded)
        await self.count(tenant, run, recorded)
        await super().keep(tenant, run, lines_of(recorded))

    async def count(self, tenant: str, run: RunId, recorded: Sequence[Recorded]) -> None:
        """See `Archive`."""
        if await self._book.add(tenant, run, fold(recorded, self._prices)):
            self._counted(recorded)


class UsageRecord:
    """What of the book is kept in the object store, and how the book is written again from the record.

    `is_whole` says whether the book has all that the record has; days are kept of a whole one only.
    """

    def __init__(
        self,
        book: RedisUsageBook,
        objects: ObjectStore,
        archive: Archive,
        prices: Prices,
        *,
        is_whole: Callable[[], Awaitable[bool]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._book = book
        self._is_whole = is_whole
        self._objects = objects
        self._archive = archive
        self._prices = prices
        self._clock = clock

    async def keep_old_days(self, tenants: Iterable[str]) -> int:
        """Keep days that are over for more than a day, again when something was added since; how many.

        A run that was paused for days adds to the day on which it began, too.
        """
        before = day_of(self._clock() - _DAY_S)
        kept = 0
        for tenant in tenants:
            for day, number in (await self._book.changes(tenant)).items():
                if day < before and await self._keep(tenant, day, number):
                    kept += 1
        return kept

    async def rebuild(self) -> int:
        """Count everything again, for a Redis that has lost it; how many runs were not counted yet."""
        kept: dict[str, set[str]] = defaultdict(set)
        async for tenant in self._objects.folders("tenants"):
            async for one in self._objects.list(path(tenant, "usage")):
                day = one.key.rpartition("/")[2].removesuffix(".json")
                kept[tenant].add(day)
                await self._book.add(tenant, f"day-{day}", await self._kept(tenant, day))
        runs = 0
        async for tenant, run, content in self._archive.all():
            with if_readable(tenant, run):
                counted = fold(_counting(unpacked_lines(content)), self._prices)
                uses = {row: used for row, used in counted.items() if row.day not in kept[tenant]}
                runs += await self._book.add(tenant, run, uses)
        return runs

    async def _keep(self, tenant: str, day: str, number: int) -> bool:
        while True:
            uses = await self._book.uses(tenant, [day])
            if not await self._is_whole():
                return False  # Redis was emptied, and is not filled yet
            kept = dumps([[*row, dict(measures)] for row, measures in uses.items()])
            await self._objects.put(path(tenant, "usage", f"{day}.json"), kept)
            if await self._book.settle(tenant, day, number):
                return True
            # Somebody has added to it, or kept more of it, which this may have written over.
            number = (await self._book.changes(tenant)).get(day, 0)

    async def _kept(self, tenant: str, day: str) -> Uses:
        try:
            plain = loads(await self._objects.get(path(tenant, "usage", f"{day}.json")))
        except NotFoundError:
            return {}
        return {Row(*names): measures for *names, measures in plain}


def _counting(lines: Iterable[bytes]) -> Iterator[Recorded]:
    """The events of a journal that count; most of its others need not be read for that."""
    return (from_json(plain) for line in lines for plain in loads(line) if plain.get("kind") not in _FREE)

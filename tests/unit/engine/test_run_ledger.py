"""The ledger of one run under a journal that is slow, or forgets: each event is written once, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from flowray.engine.events import Log, Recorded, RunAccepted
from flowray.engine.ledger import LINGER_S, Ledger
from flowray.errors import NotFoundError
from flowray.flow.types import NodeId
from flowray.stores.memory_journal import MemoryJournal
from tests.unit.engine.whole_runs import RUN, TENANT, journaled

ACCEPTED = RunAccepted(tenant=TENANT, flow="f", flow_name="F", version="v", session="s")


class SlowJournal(MemoryJournal):
    """Takes what comes once it is let; knows how many appends were on their way at one time."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()
        self.at_once = self.most_at_once = 0

    async def append(self, tenant: str, events: Sequence[Recorded], *, lease: int = 0) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.let.wait()
        self.at_once -= 1
        await super().append(tenant, events, lease=lease)


def ledger_of(journal: MemoryJournal, **facts: Any) -> Ledger:
    return Ledger(journal, tenant=TENANT, run=RUN, durability="pipelined", clock=lambda: 1.5, **facts)


def line(number: int) -> Log:
    return Log(node=NodeId("a"), text=f"line {number}")


async def lingered() -> None:
    """Until a write that was put off would have begun."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(2 * LINGER_S, over.set)
    await over.wait()


async def written_at_once_beside_what_was_put_off(journal: SlowJournal) -> Ledger:
    ledger = ledger_of(journal)
    ledger.note(ACCEPTED)
    await ledger.settle()
    ledger.note(line(1))
    settling = asyncio.create_task(ledger.settle(written=True))
    await lingered()
    journal.let.set()
    await settling
    return ledger


async def test_what_is_written_at_once_is_not_written_again_by_what_was_put_off() -> None:
    journal = SlowJournal()
    ledger = await written_at_once_beside_what_was_put_off(journal)
    ledger.note(line(2))
    await ledger.close()

    assert journal.most_at_once == 1
    assert [one.seq for one in await journaled(journal)] == [1, 2, 3]


async def test_what_follows_a_run_s_beginning_may_lag_further_behind() -> None:
    journal = MemoryJournal()
    ledger = ledger_of(journal, linger_s=1_000 * LINGER_S)
    ledger.note(ACCEPTED)
    await ledger.settle()
    await lingered()
    ledger.note(line(1))
    await ledger.settle()
    await lingered()
    begun = [one.seq for one in await journaled(journal)]
    await ledger.close()

    assert begun == [1]
    assert [one.seq for one in await journaled(journal)] == [1, 2]


async def test_who_gives_up_waiting_for_a_write_leaves_no_second_one_behind() -> None:
    journal = SlowJournal()
    ledger = ledger_of(journal)
    ledger.note(ACCEPTED)
    await ledger.settle()
    await lingered()
    waiting = asyncio.create_task(ledger.settle(written=True))
    await lingered()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    ledger.note(line(1))
    closing = asyncio.create_task(ledger.close())
    await lingered()
    journal.let.set()
    await closing

    assert journal.most_at_once == 1
    assert [one.seq for one in await journaled(journal)] == [1, 2]


async def test_a_journal_that_forgot_everything_is_written_again_without_repeats() -> None:
    journal = SlowJournal()
    ledger = await written_at_once_beside_what_was_put_off(journal)
    journal.empty()
    ledger.note(line(2))
    await ledger.close()

    assert [one.seq for one in await journaled(journal)] == [1, 2, 3]


async def test_what_a_store_forgot_is_written_again_before_there_is_more_to_write() -> None:
    journal = SlowJournal()
    ledger = await written_at_once_beside_what_was_put_off(journal)
    before = await journaled(journal)
    await ledger.write_again()
    assert await journaled(journal) == before

    journal.empty()
    await ledger.write_again()

    assert await journaled(journal) == before


async def a_long_run(journal: MemoryJournal, text: str = "", lines: int = 3_000) -> Ledger:
    ledger = ledger_of(journal)
    ledger.note(ACCEPTED)
    for number in range(lines):
        ledger.note(Log(node=NodeId("a"), text=f"{number} {text}"))
        await ledger.settle(written=number % 500 == 0)
    await ledger.settle(written=True)
    return ledger


async def test_a_long_run_is_written_again_from_its_first_event() -> None:
    journal = MemoryJournal()
    ledger = await a_long_run(journal)
    before = await journaled(journal)
    journal.empty()
    await ledger.write_again()

    assert await journaled(journal) == before


async def test_a_run_too_long_to_be_kept_says_that_it_is_not_written_again(caplog: pytest.LogCaptureFixture) -> None:
    journal = MemoryJournal()
    ledger = await a_long_run(journal, "x" * 20_000)
    journal.empty()
    await ledger.write_again()

    assert [one.__dict__["action"] for one in caplog.records] == ["journal_not_refilled"]


async def test_what_is_written_again_is_not_written_beside_something_new() -> None:
    journal = SlowJournal()
    ledger = await written_at_once_beside_what_was_put_off(journal)
    journal.empty()
    journal.let.clear()
    again = asyncio.create_task(ledger.write_again())
    ledger.note(line(2))
    settling = asyncio.create_task(ledger.settle(written=True))
    await lingered()
    journal.let.set()
    await asyncio.gather(again, settling)

    assert journal.most_at_once == 1
    assert [one.seq for one in await journaled(journal)] == [1, 2, 3]


async def test_what_is_another_s_to_write_is_left_to_it() -> None:
    journal = SlowJournal()
    ledger = await written_at_once_beside_what_was_put_off(journal)
    journal.empty()
    journal.fence(TENANT, RUN, 7)
    await ledger.write_again()
    with pytest.raises(NotFoundError):
        await journaled(journal)


async def test_a_run_that_others_hear_of_while_it_goes_on_is_on_record_first() -> None:
    journal = MemoryJournal()
    ledger = ledger_of(journal, announced=True)
    ledger.note(ACCEPTED)
    await ledger.settle()

    assert [one.seq for one in await journaled(journal)] == [1]

    ledger.note(line(1))
    await ledger.settle()

    assert [one.seq for one in await journaled(journal)] == [1]
    await ledger.close()

"""What runs have used is counted once; and again from the record when Redis has lost it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from flowray.engine.codec import dumps, encode, loads
from flowray.engine.events import (
    Event,
    ModelUsed,
    Recorded,
    RunAccepted,
    RunFinished,
    RunId,
    StepFailed,
    StepFinished,
)
from flowray.flow.types import NodeId
from flowray.plan.types import StepId
from flowray.quotas.prices import Price, Prices
from flowray.quotas.usage import MemoryUsageBook, Row, UsageBook, fold, grouped
from flowray.stores.archive import Archive
from flowray.stores.objects import open_objects
from flowray.stores.redis_usage import CountedArchive, RedisUsageBook, UsageRecord

NOON = 1_795_608_000.0  # 2026-11-25, 12:00 UTC
DAY = "2026-11-25"
PRICES = Prices(models={"gpt-4o": Price(2.0, 10.0), "gpt-4o-mini": Price(0.2, 1.0)}, cpu_hour=3.6)


async def is_whole() -> bool:
    return True


def journal(run: str = "r1", *, at: float = NOON) -> list[Recorded]:
    events: Sequence[Event] = [
        RunAccepted(tenant="t", flow="f1", flow_name="F", version="v", session="s"),
        ModelUsed(node=NodeId("Agent-1"), model="gpt-4o-mini-2024", input_tokens=1000, output_tokens=100),
        ModelUsed(node=NodeId("Agent-1"), model="gpt-4o-mini-2024", input_tokens=2000, output_tokens=200),
        StepFinished(step=StepId("s1"), took_s=4.0, usage={"cpu_s": 2.0, "memory_mib": 512.0}),
        StepFailed(step=StepId("s2"), kind="component", error="no", took_s=1.0, usage={"cpu_s": 0.5}),
        RunFinished(status="failed"),
    ]
    return [Recorded(seq=seq, at=at, run=RunId(run), event=event) for seq, event in enumerate(events, 1)]


def lines(recorded: Sequence[Recorded]) -> list[bytes]:
    return [dumps([loads(encode(one)) for one in recorded])]


@pytest.fixture(params=["memory", "redis"])
def book(request: pytest.FixtureRequest) -> UsageBook:
    return MemoryUsageBook() if request.param == "memory" else RedisUsageBook(request.getfixturevalue("valkey"))


def test_a_journal_is_counted_by_flow_and_its_calls_by_node_and_model() -> None:
    uses = fold(journal(), PRICES)

    work = uses[Row(DAY, "f1")]
    assert (work["runs"], work["steps"], work["cpu_s"], work["memory_gib_s"]) == (1, 2, 2.5, 2.0)
    calls = uses[Row(DAY, "f1", "Agent-1", "gpt-4o-mini-2024")]
    assert (calls["calls"], calls["input_tokens"], calls["output_tokens"], calls["tokens"]) == (2, 3000, 300, 3300)
    assert calls["money"] == pytest.approx(3000 * 0.2e-6 + 300 * 1e-6)
    assert work["money"] == pytest.approx(2.5 * 0.001)


async def test_a_run_is_counted_once_however_often_it_is_added(book: UsageBook) -> None:
    uses = fold(journal(), PRICES)

    added = [await book.add("t", "r1", uses) for _ in range(3)]
    await book.add("t", "r2", uses)

    assert added == [True, False, False]
    assert (await book.totals("t", [DAY]))["tokens"] == 6600


async def test_runs_that_are_added_at_once_count_each_and_each_once(book: UsageBook) -> None:
    uses = fold(journal(), PRICES)
    await book.add("t", "r0", uses)

    added = await asyncio.gather(*(book.add("t", f"r{number}", uses) for number in (0, 1, 2, 1)))

    assert added == [False, True, True, False]
    totals = await book.totals("t", [DAY])
    assert (totals["runs"], totals["tokens"], totals["cpu_s"]) == (3, 9900, 7.5)
    assert totals["money"] == pytest.approx(3 * sum(measures["money"] for measures in uses.values()))


async def test_a_run_that_nobody_waits_for_any_more_is_counted_all_the_same(book: UsageBook) -> None:
    gone, other = (asyncio.create_task(book.add("t", run, fold(journal(), PRICES))) for run in ("r1", "r2"))
    await asyncio.sleep(0)
    gone.cancel()

    assert await other
    assert not await book.add("t", "r1", fold(journal(), PRICES))


async def test_more_than_one_script_should_take_is_added_all_the_same(valkey: Any) -> None:
    book = RedisUsageBook(valkey)
    uses = {Row(DAY, "f1", f"node-{number}"): {"calls": 1.0} for number in range(300)}

    added = await asyncio.gather(*(book.add("t", f"r{number}", uses) for number in range(20)))

    assert all(added)
    assert (await book.totals("t", [DAY]))["calls"] == 6000


async def test_what_was_used_is_known_for_longer_than_whose_run_it_was(valkey: Any) -> None:
    await RedisUsageBook(valkey).add("t", "r1", fold(journal(), PRICES))

    days = [await valkey.ttl(f"flowray:{{usage}}:t:{name}") / 86_400 for name in ("run:r1", f"day:{DAY}")]

    assert 30 < days[0] < 32
    assert days[1] > 390


async def test_one_tenants_use_is_not_anothers_and_one_day_not_the_next(book: UsageBook) -> None:
    await book.add("t", "r1", fold(journal(), PRICES))
    await book.add("u", "r1", fold(journal(at=NOON + 86_400), PRICES))

    assert (await book.totals("t", ["2026-11-26"])).get("runs", 0) == 0
    assert (await book.totals("u", [DAY, "2026-11-26"]))["runs"] == 1


async def test_uses_are_added_up_by_what_is_asked_for(book: UsageBook) -> None:
    await book.add("t", "r1", fold(journal(), PRICES))
    uses = await book.uses("t", [DAY])

    (by_model,) = [row for row in grouped(uses, ["model"], tenant="t") if row["model"]]
    (by_tenant,) = grouped(uses, ["tenant", "day"], tenant="t")

    assert (by_model["model"], by_model["tokens"], by_model["runs"]) == ("gpt-4o-mini-2024", 3300, 0)
    assert (by_tenant["tenant"], by_tenant["runs"], by_tenant["steps"]) == ("t", 1, 2)


async def test_a_journal_is_counted_on_its_way_into_the_archive_and_never_again(valkey: Any) -> None:
    book, objects = RedisUsageBook(valkey), open_objects("memory:")
    archive = CountedArchive(objects, book, PRICES)

    for _ in range(2):
        await archive.keep("t", RunId("r1"), lines(journal()))

    assert (await book.totals("t", [DAY]))["runs"] == 1
    assert await archive.find("t", RunId("r1")) == journal()


async def test_what_redis_has_lost_is_counted_again_from_the_record(valkey: Any) -> None:
    book, objects = RedisUsageBook(valkey), open_objects("memory:")
    archive = CountedArchive(objects, book, PRICES)
    await archive.keep("t", RunId("old"), lines(journal("old", at=NOON - 5 * 86_400)))
    await archive.keep("t", RunId("new"), lines(journal("new")))
    record = UsageRecord(book, objects, Archive(objects), PRICES, is_whole=is_whole, clock=lambda: NOON)
    assert await record.keep_old_days(["t"]) == 1
    before = await book.totals("t", ["2026-11-20", DAY])

    await valkey.flushdb()
    await record.rebuild()

    assert dict(await book.totals("t", ["2026-11-20", DAY])) == pytest.approx(dict(before))


async def test_what_a_paused_run_adds_to_a_day_that_was_kept_is_kept_too(valkey: Any) -> None:
    book, objects = RedisUsageBook(valkey), open_objects("memory:")
    archive = CountedArchive(objects, book, PRICES)
    began = NOON - 5 * 86_400
    await archive.keep("t", RunId("done"), lines(journal("done", at=began)))
    record = UsageRecord(book, objects, Archive(objects), PRICES, is_whole=is_whole, clock=lambda: NOON)
    assert await record.keep_old_days(["t"]) == 1
    await archive.keep("t", RunId("paused"), lines(journal("paused", at=began)))
    before = await book.totals("t", ["2026-11-20"])
    assert (await record.keep_old_days(["t"]), await record.keep_old_days(["t"])) == (1, 0)

    await valkey.flushdb()
    await record.rebuild()

    assert dict(await book.totals("t", ["2026-11-20"])) == pytest.approx(dict(before))


async def test_a_day_that_grows_while_it_is_kept_is_kept_whole(valkey: Any) -> None:
    book, objects = RedisUsageBook(valkey), open_objects("memory:")
    began, late = NOON - 5 * 86_400, ["first", "second"]
    await book.add("t", "r", fold(journal("r", at=began), PRICES))

    async def grows_and_is_whole() -> bool:
        if late:
            name = late.pop()
            await book.add("t", name, fold(journal(name, at=began), PRICES))
        return True

    record = UsageRecord(book, objects, Archive(objects), PRICES, is_whole=grows_and_is_whole, clock=lambda: NOON)
    assert await record.keep_old_days(["t"]) == 1
    before = await book.totals("t", ["2026-11-20"])

    await valkey.flushdb()
    await record.rebuild()

    assert before["runs"] == 3
    assert dict(await book.totals("t", ["2026-11-20"])) == pytest.approx(dict(before))


async def test_a_day_of_a_book_that_is_not_whole_is_not_kept(valkey: Any) -> None:
    book, objects = RedisUsageBook(valkey), open_objects("memory:")
    await book.add("t", "r1", fold(journal(at=NOON - 5 * 86_400), PRICES))

    async def is_not() -> bool:
        return False

    record = UsageRecord(book, objects, Archive(objects), PRICES, is_whole=is_not, clock=lambda: NOON)

    assert await record.keep_old_days(["t"]) == 0


async def test_a_journal_that_cannot_be_read_keeps_no_other_from_being_counted_again(valkey: Any) -> None:
    book, objects = RedisUsageBook(valkey), open_objects("memory:")
    await Archive(objects).keep("t", RunId("r1"), lines(journal()))
    await objects.put("tenants/t/journals/damaged.jsonl.gz", b"no journal at all")
    await Archive(objects).keep("t", RunId("later"), [b'[{"seq":1,"at":1.0,"run":"later","kind":"from the future"}]'])

    assert await UsageRecord(book, objects, Archive(objects), PRICES, is_whole=is_whole).rebuild() == 1


async def test_a_day_that_is_kept_outlasts_its_journals(valkey: Any) -> None:
    book, objects = RedisUsageBook(valkey), open_objects("memory:")
    await book.add("t", "swept", fold(journal("swept", at=NOON - 5 * 86_400), PRICES))
    record = UsageRecord(book, objects, Archive(objects), PRICES, is_whole=is_whole, clock=lambda: NOON)
    await record.keep_old_days(["t"])

    await valkey.flushdb()
    await record.rebuild()

    assert (await book.totals("t", ["2026-11-20"]))["runs"] == 1

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pytest
import redis.asyncio

from flowray.engine.events import Event, Log, NodeFinished, Recorded, RunAccepted, RunFinished, RunId, RunStarted
from flowray.engine.ports import Journal
from flowray.engine.summary import RunSummary
from flowray.engine.values import Value
from flowray.errors import ConflictError, FlowRayError, InvalidRequestError, NotFoundError, StoreUnavailableError
from flowray.flow.types import NodeId
from flowray.stores.archive import Archive
from flowray.stores.archiver import Archiver
from flowray.stores.memory_journal import MemoryJournal
from flowray.stores.objects import open_objects
from flowray.stores.recording_journal import RecordingJournal
from flowray.stores.redis import connect
from flowray.stores.redis_journal import RedisJournal
from flowray.stores.redis_runs import RedisRuns

ACME, OTHER = "acme", "other"
RUN, RUN_2 = RunId("run-1"), RunId("run-2")
ACCEPTED = RunAccepted(tenant=ACME, flow="flow-1", flow_name="Flow", version="v1", session="s")
SUCCEEDED = RunFinished(status="succeeded")


class Runs(Protocol):
    async def runs(self, tenant: str, *, limit: int, before: float | None = None) -> tuple[RunSummary, ...]: ...


@dataclass
class Kept:
    """A journal with its list of runs."""

    journal: Journal
    runs: Runs


@pytest.fixture(params=["memory", "redis", "recording"])
def kept(request: pytest.FixtureRequest) -> Kept:
    if request.param == "memory":
        memory = MemoryJournal()
        return Kept(memory, memory)
    valkey = request.getfixturevalue("valkey")
    archive = Archive(open_objects("memory:"))
    hot = RedisJournal(valkey, archive)
    return Kept(hot if request.param == "redis" else RecordingJournal(hot, archive), RedisRuns(valkey, archive))


@pytest.fixture
def journal(kept: Kept) -> Journal:
    return kept.journal


def line(number: int) -> Log:
    return Log(node=NodeId("a"), text=f"line {number}")


def recorded(*events: Event, run: RunId = RUN, first: int = 1, at: float = 1.5) -> list[Recorded]:
    return [Recorded(seq=seq, at=at, run=run, event=event) for seq, event in enumerate(events, first)]


async def test_a_reader_sees_events_in_the_order_they_were_appended(journal: Journal) -> None:
    events = recorded(ACCEPTED, RunStarted(engine="e"), line(1), line(2))
    await journal.append(ACME, events[:1])
    await journal.append(ACME, events[1:])
    assert await _all(journal) == events


async def test_values_come_back_as_they_were(journal: Journal) -> None:
    value = Value(type="data", json={"text": "Grüße \ud800", "big": 2**80, "deep": [[[1.5, None, True]]]})
    events = recorded(ACCEPTED, NodeFinished(node=NodeId("a"), outputs={"out": value}, usage={"tokens": 3}))
    await journal.append(ACME, events)
    assert await _all(journal) == events


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4, 5, 9])
async def test_a_reader_that_comes_back_continues_after_its_last_event(journal: Journal, after: int) -> None:
    events = recorded(ACCEPTED, line(1), line(2), line(3), SUCCEEDED)
    await journal.append(ACME, events[:3])
    await journal.append(ACME, events[3:])
    assert await _all(journal, after=after) == events[after:]
    assert [one async for one in journal.read(ACME, RUN, after=after, follow=True)] == events[after:]


async def test_a_follower_gets_events_as_they_come_and_stops_at_the_end(journal: Journal) -> None:
    events = recorded(ACCEPTED, line(1), SUCCEEDED)
    await journal.append(ACME, events[:1])
    seen: asyncio.Queue[Recorded] = asyncio.Queue()

    async def follow() -> None:
        async for one in journal.read(ACME, RUN, follow=True):
            seen.put_nowait(one)

    following = asyncio.create_task(follow())
    assert await seen.get() == events[0]
    await journal.append(ACME, events[1:2])
    assert await seen.get() == events[1]
    await journal.append(ACME, events[2:])
    async with asyncio.timeout(2):
        await following
    assert seen.get_nowait() == events[2]


async def test_many_follow_the_same_run(journal: Journal) -> None:
    events = recorded(ACCEPTED, *map(line, range(50)), SUCCEEDED)
    await journal.append(ACME, events[:1])
    following = [asyncio.create_task(_all(journal, follow=True)) for _ in range(5)]
    for one in events[1:]:
        await journal.append(ACME, [one])
    assert await asyncio.gather(*following) == [events] * 5


async def test_a_follower_may_leave(journal: Journal) -> None:
    await journal.append(ACME, recorded(ACCEPTED))
    following = asyncio.create_task(_all(journal, follow=True))
    await asyncio.sleep(0)
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    assert await _all(journal) == recorded(ACCEPTED)


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("run", [RUN, RunId("../../x"), RunId("a:b"), RunId("")])
async def test_an_unknown_run_is_not_found(journal: Journal, follow: bool, run: RunId) -> None:  # noqa: FBT001
    with pytest.raises(NotFoundError):
        await anext(aiter(journal.read(ACME, run, follow=follow)))


async def test_another_tenants_run_is_not_found(journal: Journal) -> None:
    await journal.append(ACME, recorded(ACCEPTED))
    with pytest.raises(NotFoundError):
        await anext(aiter(journal.read(OTHER, RUN)))


async def test_the_same_run_id_may_belong_to_two_tenants(journal: Journal) -> None:
    await journal.append(ACME, recorded(ACCEPTED, line(1)))
    await journal.append(OTHER, recorded(ACCEPTED, line(2)))
    assert [one.event async for one in journal.read(OTHER, RUN)] == [ACCEPTED, line(2)]


async def test_nothing_is_appended_after_the_end(journal: Journal) -> None:
    await journal.append(ACME, recorded(ACCEPTED, SUCCEEDED))
    with pytest.raises(ConflictError):
        await journal.append(ACME, recorded(line(1), first=3))


@pytest.mark.parametrize("first", [1, 2, 4])
async def test_two_engines_cannot_both_write_one_run(journal: Journal, first: int) -> None:
    events = recorded(ACCEPTED, line(1))
    await journal.append(ACME, events)
    with pytest.raises(ConflictError):
        await journal.append(ACME, recorded(line(2), line(3), first=first))
    assert await _all(journal) == events


@pytest.mark.parametrize("numbers", [(2, 3, 2, 3, 4), (2, 4), (3, 2)])
async def test_a_batch_with_a_gap_or_a_repeat_in_it_is_refused(journal: Journal, numbers: Sequence[int]) -> None:
    await journal.append(ACME, recorded(ACCEPTED))
    batch = [Recorded(seq=seq, at=1.5, run=RUN, event=line(seq)) for seq in numbers]
    with pytest.raises(ConflictError):
        await journal.append(ACME, batch)
    assert await _all(journal) == recorded(ACCEPTED)


async def test_appending_nothing_does_nothing(journal: Journal) -> None:
    await journal.append(ACME, [])
    with pytest.raises(NotFoundError):
        await _all(journal)


async def test_a_long_journal_comes_back_whole(journal: Journal) -> None:
    events = recorded(ACCEPTED, *map(line, range(2_000)), SUCCEEDED)
    for first in range(0, len(events), 4):
        await journal.append(ACME, events[first : first + 4])
    assert await _all(journal) == events


async def test_runs_are_listed_newest_first(kept: Kept) -> None:
    await kept.journal.append(ACME, recorded(ACCEPTED, at=10.0))
    await kept.journal.append(ACME, recorded(ACCEPTED, run=RUN_2, at=20.0))
    await kept.journal.append(ACME, recorded(RunFinished(status="failed", error="boom"), first=2, at=30.0))
    older = RunSummary(run=RUN, accepted_at=10.0, flow="flow-1", flow_name="Flow", version="v1", session="s")
    assert await kept.runs.runs(ACME, limit=9) == (
        replace(older, run=RUN_2, accepted_at=20.0),
        replace(older, finished_at=30.0, status="failed", error="boom"),
    )
    assert [one.run for one in await kept.runs.runs(ACME, limit=1)] == [RUN_2]
    assert [one.run for one in await kept.runs.runs(ACME, limit=9, before=20.0)] == [RUN]
    assert await kept.runs.runs(OTHER, limit=9) == ()


async def test_an_append_whose_answer_was_lost_may_be_sent_again(
    valkey: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.urandom", lambda size: b"m" * size)
    journal = RedisJournal(valkey, Archive(open_objects("memory:")))
    await journal.append(ACME, recorded(ACCEPTED, line(1)))
    await journal.append(ACME, recorded(ACCEPTED, line(1)))
    assert await _all(journal) == recorded(ACCEPTED, line(1))


class WatchedArchive(Archive):
    """Tells when something was archived."""

    def __init__(self) -> None:
        super().__init__(open_objects("memory:"))
        self.written = asyncio.Event()

    async def keep(self, tenant: str, run: RunId, lines: Iterable[bytes]) -> None:
        await super().keep(tenant, run, lines)
        self.written.set()


@dataclass
class Hot:
    """A Redis with its archive."""

    valkey: redis.asyncio.Redis
    archive: WatchedArchive
    journal: RedisJournal
    archiver: Archiver
    runs: RedisRuns


@pytest.fixture
def hot(valkey: redis.asyncio.Redis) -> Hot:
    archive = WatchedArchive()
    return Hot(
        valkey,
        archive,
        RedisJournal(valkey, archive),
        Archiver(valkey, archive, keep_s=100),
        RedisRuns(valkey, archive),
    )


async def test_finished_journals_are_archived_and_leave_redis_later(hot: Hot) -> None:
    await hot.journal.append(ACME, recorded(ACCEPTED, SUCCEEDED))
    await hot.journal.append(ACME, recorded(ACCEPTED, run=RUN_2))
    assert await hot.archiver.archive() == 1
    assert await hot.archiver.archive() == 0
    assert 0 < await hot.valkey.ttl(f"flowray:acme:journal:{RUN}") <= 100
    assert await hot.valkey.ttl(f"flowray:acme:journal:{RUN_2}") > 100


@pytest.mark.parametrize("follow", [False, True])
async def test_a_journal_is_read_from_the_archive_once_redis_has_forgotten_it(hot: Hot, follow: bool) -> None:  # noqa: FBT001
    events = recorded(ACCEPTED, line(1), SUCCEEDED)
    await hot.journal.append(ACME, events)
    await hot.archiver.archive()
    await hot.valkey.flushdb()
    assert await _all(hot.journal, follow=follow) == events
    assert await _all(hot.journal, after=2, follow=follow) == events[2:]
    with pytest.raises(NotFoundError):
        await anext(aiter(hot.journal.read(OTHER, RUN, follow=follow)))


async def test_a_follower_hears_of_an_end_that_comes_between_two_looks(
    hot: Hot, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = recorded(ACCEPTED, line(1), SUCCEEDED)
    await hot.journal.append(ACME, events[:1])
    read = hot.valkey.xread

    async def overtaken(*args: Any, **more: Any) -> Any:
        found = await read(*args, **more)
        if not found:
            monkeypatch.setattr(hot.valkey, "xread", read)
            await hot.journal.append(ACME, events[1:])
        return found

    monkeypatch.setattr(hot.valkey, "xread", overtaken)
    assert await _all(hot.journal, follow=True) == events


async def test_a_follower_ends_with_a_journal_that_vanishes(hot: Hot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowray.stores.redis_journal.BLOCK_S", 0.05)
    await hot.journal.append(ACME, recorded(ACCEPTED))
    async with aclosing(_reading(hot.journal)) as following:
        assert await anext(following) == recorded(ACCEPTED)[0]
        await hot.valkey.flushdb()
        with pytest.raises(NotFoundError):
            await anext(following)


async def test_the_list_of_runs_is_rebuilt_from_the_archive(hot: Hot) -> None:
    await hot.journal.append(ACME, recorded(ACCEPTED, line(1), SUCCEEDED, at=10.0))
    await hot.journal.append(OTHER, recorded(ACCEPTED, SUCCEEDED, run=RUN_2, at=20.0))
    before = await hot.runs.runs(ACME, limit=9)
    await hot.archiver.archive()
    await hot.valkey.flushdb()
    assert await hot.runs.rebuild() == 2
    assert await hot.runs.runs(ACME, limit=9) == before
    assert await hot.valkey.ttl(f"flowray:{ACME}:run:{RUN}") > 0
    assert [one.run for one in await hot.runs.runs(OTHER, limit=9)] == [RUN_2]


async def test_a_damaged_journal_keeps_no_other_run_from_being_listed_again(hot: Hot) -> None:
    await hot.journal.append(ACME, recorded(ACCEPTED, SUCCEEDED))
    await hot.archiver.archive()
    await hot.archive._objects.put(f"tenants/{ACME}/journals/damaged.jsonl.gz", b"no journal at all")
    assert await hot.runs.rebuild() == 1


async def test_more_runs_than_are_read_at_a_time_are_listed_again(hot: Hot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowray.stores.archive._READ_AT_ONCE", 2)
    for number in range(5):
        await hot.journal.append(ACME, recorded(ACCEPTED, SUCCEEDED, run=RunId(f"run-{number}")))
    await hot.archiver.archive()
    assert await hot.runs.rebuild() == 5


async def test_a_rebuilt_run_takes_no_more_events(hot: Hot) -> None:
    await hot.journal.append(ACME, recorded(ACCEPTED, SUCCEEDED))
    await hot.archiver.archive()
    await hot.valkey.flushdb()
    await hot.runs.rebuild()
    with pytest.raises(ConflictError):
        await hot.journal.append(ACME, recorded(line(1), first=3))


async def test_only_the_newest_runs_are_listed(valkey: redis.asyncio.Redis) -> None:
    archive = Archive(open_objects("memory:"))
    journal = RedisJournal(valkey, archive, list_runs=2)
    for number in range(4):
        await journal.append(ACME, recorded(ACCEPTED, run=RunId(f"run-{number}"), at=float(number)))
    listed = await RedisRuns(valkey, archive).runs(ACME, limit=9)
    assert [one.run for one in listed] == ["run-3", "run-2"]


async def test_of_a_run_that_is_on_record_little_is_kept_once_it_is_listed_no_more(valkey: redis.asyncio.Redis) -> None:
    archive = Archive(open_objects("memory:"))
    journal = RedisJournal(valkey, archive, list_runs=1)
    on_record, waits, is_open = RunId("on-record"), RunId("waits"), RunId("open")
    await journal.append(ACME, recorded(ACCEPTED, SUCCEEDED, run=on_record, at=1.0))
    await Archiver(valkey, archive).archive()
    await journal.append(ACME, recorded(ACCEPTED, SUCCEEDED, run=waits, at=2.0))
    await journal.append(ACME, recorded(ACCEPTED, run=is_open, at=3.0))

    await journal.append(ACME, recorded(ACCEPTED, at=4.0))

    hours = [await valkey.ttl(f"flowray:{ACME}:run:{run}") / 3_600 for run in (on_record, waits, is_open, RUN)]
    assert [0.9 < left <= 1 for left in hours] == [True, False, False, False]
    assert min(hours[1:]) > 700


@pytest.mark.parametrize(("tenant", "run"), [("a:b", RUN), ("a/b", RUN), ("", RUN), (ACME, RunId("x/y"))])
async def test_names_that_could_reach_elsewhere_are_refused(hot: Hot, tenant: str, run: RunId) -> None:
    with pytest.raises(InvalidRequestError):
        await hot.journal.append(tenant, recorded(ACCEPTED, run=run))


async def test_the_archiver_works_until_it_is_cancelled(hot: Hot) -> None:
    await hot.journal.append(ACME, recorded(ACCEPTED, SUCCEEDED))
    working = asyncio.create_task(hot.archiver.work(every_s=0.01))
    async with asyncio.timeout(5):
        await hot.archive.written.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert await hot.archive.find(ACME, RUN) == recorded(ACCEPTED, SUCCEEDED)


async def test_a_redis_that_does_not_answer_is_unavailable() -> None:
    async with connect("redis://127.0.0.1:9/0") as away:
        archive = Archive(open_objects("memory:"))
        uses = [
            RedisJournal(away, archive).append(ACME, recorded(ACCEPTED)),
            _all(RedisJournal(away, archive)),
            RedisRuns(away, archive).runs(ACME, limit=1),
            Archiver(away, archive).archive(),
        ]
        outcomes = await asyncio.gather(*uses, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailableError] * 4


def test_an_url_that_is_none_is_refused() -> None:
    with pytest.raises(FlowRayError, match="no Redis URL"):
        connect("http://redis")


async def _all(journal: Journal, *, after: int = 0, follow: bool = False) -> list[Recorded]:
    return [one async for one in journal.read(ACME, RUN, after=after, follow=follow)]


async def _reading(journal: RedisJournal) -> AsyncGenerator[Recorded, None]:
    async for one in journal.read(ACME, RUN, follow=True):
        yield one

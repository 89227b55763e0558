"""Runs that ended in a process: on record from its memory, whatever Redis forgets meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import pytest
import redis.asyncio

from flowray.engine.events import Event, Log, Recorded, RunAccepted, RunFinished, RunId
from flowray.engine.journals import LeasedJournal
from flowray.engine.ports import Journal
from flowray.errors import StoreUnavailableError
from flowray.flow.types import NodeId
from flowray.quotas.prices import Prices
from flowray.quotas.usage import UsageBook, day_of
from flowray.stores.archive import Archive
from flowray.stores.archiver import Archiver
from flowray.stores.fresh_ends import FreshEnds
from flowray.stores.handing_journal import HandingJournal
from flowray.stores.objects import ObjectStore, open_objects
from flowray.stores.recording_journal import RecordingJournal
from flowray.stores.redis_ends import RedisEnds
from flowray.stores.redis_journal import RedisJournal
from flowray.stores.redis_queue import RedisQueue
from flowray.stores.redis_runs import RedisRuns
from flowray.stores.redis_usage import CountedArchive, RedisUsageBook

ACME, RUN = "acme", RunId("run-1")


def told(*events: Event) -> list[Recorded]:
    return [Recorded(seq=seq, at=10.0, run=RUN, event=event) for seq, event in enumerate(events, 1)]


BEGIN, LINE = (
    RunAccepted(tenant=ACME, flow="f", flow_name="F", version="v", session="s"),
    Log(node=NodeId("a"), text=""),
)
WHOLE = told(BEGIN, LINE, RunFinished(status="succeeded"))


class CountingArchive(Archive):
    """Knows what was kept and counted; it may be away, or break on some runs."""

    def __init__(self, objects: ObjectStore, book: UsageBook) -> None:
        super().__init__(objects)
        self._book = book
        self.is_away = False
        self.breaks: set[RunId] = set()
        self.kept: list[RunId] = []
        self.counted: list[RunId] = []

    async def keep(self, tenant: str, run: RunId, lines: Iterable[bytes]) -> None:
        if self.is_away:
            raise StoreUnavailableError("away")
        if run in self.breaks:
            raise RuntimeError("can't start new thread")
        self.kept.append(run)
        await super().keep(tenant, run, lines)

    async def count(self, tenant: str, run: RunId, recorded: Iterable[Recorded]) -> None:
        del recorded
        self.counted.append(run)
        await self._book.add(tenant, run, {})


@dataclass
class Process:
    """A process that drives runs, with a clock to turn."""

    valkey: redis.asyncio.Redis
    followed: list[RunId] = field(default_factory=list)
    now: float = 100.0

    def __post_init__(self) -> None:
        self.archive = CountingArchive(open_objects("memory:"), RedisUsageBook(self.valkey))
        self.hot = RedisJournal(self.valkey, self.archive)
        self.ends = FreshEnds(RedisEnds(self.valkey), self.hot, self.archive, after=self.follow, clock=lambda: self.now)
        self.journal = HandingJournal(self.hot, self.ends)
        self.recording = RecordingJournal(self.hot, self.archive, self.ends)
        self.others = Archiver(self.valkey, self.archive, left_s=15.0, clock=lambda: 20.0)

    async def follow(self, tenant: str, run: RunId, finished: RunFinished) -> None:
        del tenant, finished
        self.followed.append(run)

    async def looks(self) -> None:
        """Until Redis can forget nothing of it any more."""
        await self.ends.record()
        self.now += 5.0
        await self.ends.release()

    async def read(self) -> Sequence[Recorded]:
        return [one async for one in self.hot.read(ACME, RUN)]

    async def status(self) -> list[str]:
        return [one.status for one in await RedisRuns(self.valkey, self.archive).runs(ACME, limit=9)]


@pytest.fixture
def process(valkey: redis.asyncio.Redis) -> Process:
    return Process(valkey)


async def ran(journal: Journal) -> None:
    """A run from its first event to its last, in two appends."""
    await journal.append(ACME, WHOLE[:2])
    await journal.append(ACME, WHOLE[2:])


async def leased(process: Process) -> LeasedJournal:
    """The journal as the engine has it that leased the run."""
    queue = RedisQueue(process.valkey)
    await queue.offer(ACME, RUN, at=1.0)
    [lease] = await queue.take("e", limit=1, for_s=60)
    return LeasedJournal(process.recording, lease.number)


async def test_a_run_that_ended_is_on_record_and_leaves_redis_later(process: Process) -> None:
    await ran(process.journal)
    await process.looks()
    assert await process.archive.find(ACME, RUN) == WHOLE
    assert await process.valkey.zcard("flowray:finished") == 0
    assert 0 < await process.valkey.ttl(f"flowray:{ACME}:journal:{RUN}") <= 60
    assert process.followed == []


@pytest.mark.parametrize("lost", ["all", "the last second"])
@pytest.mark.parametrize("when", ["before it is on record", "after it is on record"])
async def test_an_end_that_redis_forgot_is_told_again(process: Process, lost: str, when: str) -> None:
    await ran(process.journal)
    if when == "after it is on record":
        await process.ends.record()
    await process.valkey.flushdb()
    if lost == "the last second":
        await process.hot.append(ACME, WHOLE[:2])
    await process.looks()
    assert await process.archive.find(ACME, RUN) == WHOLE
    assert await process.read() == WHOLE
    assert await process.status() == ["succeeded"]
    assert await process.valkey.zcard("flowray:open") == 0


@pytest.mark.parametrize("others", ["have put it on record", "have not"])
async def test_an_end_that_redis_forgot_counts_though_others_took_the_run_for_lost(
    process: Process, others: str
) -> None:
    await ran(process.journal)
    await process.valkey.flushdb()
    lost = Recorded(seq=3, at=30.0, run=RUN, event=RunFinished(status="failed", kind="lost", error="gone"))
    await process.hot.append(ACME, [*WHOLE[:2], lost])
    if others == "have put it on record":
        await process.archive.keep_all(ACME, RUN, [*WHOLE[:2], lost])

    await process.looks()

    assert await process.archive.find(ACME, RUN) == WHOLE
    assert await process.read() == WHOLE
    assert await process.status() == ["succeeded"]


@pytest.mark.parametrize("forgotten", ["flowray:*", "flowray:{usage}:*"], ids=["all", "the use alone"])
async def test_what_a_run_has_used_and_redis_forgot_is_counted_again(
    valkey: redis.asyncio.Redis, forgotten: str
) -> None:
    book, now = RedisUsageBook(valkey), [100.0]
    archive = CountedArchive(open_objects("memory:"), book, Prices())
    journal = RedisJournal(valkey, archive)
    ends = FreshEnds(RedisEnds(valkey), journal, archive, clock=lambda: now[0])
    await ran(HandingJournal(journal, ends))
    await ends.record()
    before = await book.totals(ACME, [day_of(10.0)])
    await valkey.delete(*await valkey.keys(forgotten))

    now[0] += 5.0
    await ends.release()

    assert before["runs"] == 1
    assert await book.totals(ACME, [day_of(10.0)]) == before


async def test_a_queued_run_is_archived_once_and_followed_up_by_its_engine(process: Process) -> None:
    await ran(await leased(process))
    await process.looks()
    assert (process.archive.kept, process.archive.counted, process.followed) == ([RUN], [RUN], [RUN])
    assert await process.others.archive() == 0


async def test_a_run_whose_process_is_gone_is_archived_by_another(process: Process) -> None:
    await ran(process.hot)
    assert await process.others.archive() == 0
    later = Archiver(process.valkey, process.archive, left_s=15.0, clock=lambda: 26.0)
    assert await later.archive() == 1
    assert await process.archive.find(ACME, RUN) == WHOLE


async def test_what_cannot_be_archived_now_is_later(process: Process) -> None:
    await ran(process.journal)
    process.archive.is_away = True
    with pytest.raises(StoreUnavailableError):
        await process.ends.record()
    process.archive.is_away = False
    await process.looks()
    assert await process.archive.find(ACME, RUN) == WHOLE


async def test_an_end_that_breaks_is_left_to_the_archiver(process: Process) -> None:
    await ran(process.journal)
    process.archive.breaks = {RUN}
    await process.looks()
    assert await process.valkey.zcard("flowray:finished") == 1

    process.archive.breaks = set()
    later = Archiver(process.valkey, process.archive, left_s=15.0, clock=lambda: 26.0)

    assert await later.archive() == 1
    assert await process.archive.find(ACME, RUN) == WHOLE


async def test_an_end_that_breaks_the_archiver_too_holds_up_no_other_and_is_tried_again(process: Process) -> None:
    other, now = RunId("run-2"), [26.0]
    await ran(process.hot)
    await process.hot.append(ACME, [replace(one, run=other) for one in WHOLE])
    archiver = Archiver(process.valkey, process.archive, left_s=15.0, clock=lambda: now[0])
    process.archive.breaks = {RUN}

    assert (await archiver.archive(), await archiver.archive()) == (1, 0)
    assert process.archive.kept == [other]

    process.archive.breaks = set()
    now[0] += 80.0
    assert await archiver.archive() == 1
    assert await process.archive.find(ACME, RUN) == WHOLE


class AwayAtTheEnd(RedisJournal):
    """A journal whose store is away when a run ends."""

    async def append(self, tenant: str, events: Sequence[Recorded], *, lease: int = 0) -> None:
        if isinstance(events[-1].event, RunFinished):
            raise StoreUnavailableError("away")
        await super().append(tenant, events, lease=lease)


async def test_an_end_that_could_not_be_written_is_written_when_the_store_is_back(process: Process) -> None:
    journal = HandingJournal(AwayAtTheEnd(process.valkey, process.archive), process.ends)
    with pytest.raises(StoreUnavailableError):
        await ran(journal)
    await process.looks()
    assert await process.read() == WHOLE
    assert await process.status() == ["succeeded"]

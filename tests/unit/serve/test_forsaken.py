"""Runs whose gateway is gone end, and say so; accepted ones are driven on."""

from __future__ import annotations

from collections.abc import Sequence

from flowray.engine.events import Event, Recorded, RunAccepted, RunFinished, RunId, RunStarted
from flowray.stores.archive import Archive
from flowray.stores.memory_queue import MemoryQueue
from flowray.stores.redis_open_runs import ForsakenRun
from flowray_serve.queueing.forsaken import Forsaken
from tests.unit.serve.service import ECHO, Service, service
from tests.unit.serve.test_http_background import submitted

SURE_S = 10.0


class Abandoned:
    """Open runs of an engine that is gone, until it says that it lives after all."""

    def __init__(self, *runs: str) -> None:
        self.runs = runs

    async def live(self, engine: str, *, for_s: int) -> None:
        self.runs = ()

    async def forsaken(self) -> Sequence[ForsakenRun]:
        return [ForsakenRun(tenant="default", run=RunId(run), engine="gone", at=1.0) for run in self.runs]


class Watched:
    """A watch with a clock to turn."""

    def __init__(self, made: Service, runs: Abandoned) -> None:
        self.now = 0.0
        self.queue = MemoryQueue(made.journal)
        requests = made.services.jobs.requests
        self.archive = Archive(made.objects)
        self.forsaken = Forsaken(
            runs,
            made.journal,
            requests,
            self.queue,
            self.archive,
            clock=lambda: self.now,
            sure_after_s=SURE_S,
        )

    async def looks(self, *times: float) -> list[int]:
        dealt_with = []
        for self.now in times:
            dealt_with.append(await self.forsaken.look())
        return dealt_with


async def begun(made: Service) -> str:
    """A synchronous run of which only the beginning is in the journal, as when its gateway was killed."""
    run = RunId("run-1")
    accepted = RunAccepted(tenant="default", flow="f", flow_name="F", version="v", session="s")
    events: tuple[Event, ...] = (accepted, RunStarted(engine="gone"))
    for seq, event in enumerate(events, start=1):
        await made.journal.append("default", [Recorded(seq=seq, at=1.0, run=run, event=event)])
    return run


async def last_of(made: Service, run: str) -> object:
    return [one.event async for one in made.journal.read("default", RunId(run))][-1]


async def test_a_run_without_a_process_ends_as_lost_once_that_is_sure() -> None:
    made = service()
    run = await begun(made)
    assert await Watched(made, Abandoned(run)).looks(0, SURE_S - 1, SURE_S, SURE_S + 1) == [0, 0, 1, 0]
    end = await last_of(made, run)
    assert isinstance(end, RunFinished)
    assert (end.status, end.kind) == ("failed", "lost")
    assert "`gone`" in end.error


async def test_a_process_that_says_again_that_it_lives_keeps_its_runs() -> None:
    made = service()
    run = await begun(made)
    runs = Abandoned(run)
    watched = Watched(made, runs)
    await watched.looks(0)
    await runs.live("gone", for_s=1)
    assert await watched.looks(SURE_S) == [0]
    runs.runs = (run,)
    assert await watched.looks(SURE_S + 1) == [0]
    assert not isinstance(await last_of(made, run), RunFinished)


async def test_an_accepted_run_that_the_queue_has_lost_is_queued_again() -> None:
    made = service()
    job = await submitted(made, await made.publish(ECHO))
    watched = Watched(made, Abandoned(job["job_id"]))
    await watched.looks(0, SURE_S)
    assert (await watched.queue.stats()).waiting == 1
    assert not isinstance(await last_of(made, job["job_id"]), RunFinished)


async def test_a_run_whose_end_is_on_record_ends_as_it_says_there() -> None:
    made = service()
    run = await begun(made)
    watched = Watched(made, Abandoned(run))
    told = [one async for one in made.journal.read("default", RunId(run))]
    answered = Recorded(seq=len(told) + 1, at=2.0, run=RunId(run), event=RunFinished(status="succeeded"))
    await watched.archive.keep_all("default", RunId(run), [*told, answered])
    await watched.looks(0, SURE_S)
    assert await last_of(made, run) == RunFinished(status="succeeded")

"""Lanes: an engine's steps reach the Runners that are announced, and every end of a Runner becomes an event."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from flowray.engine.commands import StartStep
from flowray.engine.events import RunId, StepEvent, StepFailed, StepFinished, StepStarted
from flowray.engine.ports import RunRequest
from flowray.flow.types import Flow
from flowray.plan.types import Plan, Step, StepId
from flowray.runner.asking import Answers, Desk
from flowray.stores.places import MemoryPlaces, Place
from flowray_serve.lanes.frames import LaneError
from flowray_serve.lanes.lane import Lane
from flowray_serve.lanes.privacy import engine_side, runner_side
from flowray_serve.lanes.server import LaneServer
from flowray_serve.lanes.shelf import Shelf
from flowray_serve.lanes.steps import LaneSteps

SECRET = b"the service's secret"
STEP = StepId("a")


class FakeRunner:
    """Says StepStarted, waits until it is let go, says StepFinished."""

    def __init__(self, name: str = "r1") -> None:
        self.name = name
        self.seen: list[RunRequest] = []
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.go.set()

    async def run(
        self, request: RunRequest, step: StartStep, *, otherwise: Answers | None = None
    ) -> AsyncGenerator[Sequence[StepEvent], None]:
        self.seen.append(request)
        self.begun.set()
        try:
            yield (StepStarted(step=step.step, attempt=1, runner=self.name),)
            await self.go.wait()
            yield (StepFinished(step=step.step),)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


class Cluster:
    """Runners that are announced in one memory."""

    def __init__(self, folder: Path) -> None:
        self.places = MemoryPlaces()
        self._folder = folder
        self._servers: dict[str, LaneServer] = {}

    async def join(self, runner: FakeRunner, *, capacity: int = 4, address: str = "") -> LaneServer:
        server = self._servers[runner.name] = LaneServer(runner, secret=SECRET)
        announced = await server.listen(address or f"unix:{self._folder / runner.name}")
        place = Place(name=runner.name, pool="default", address=announced, capacity=capacity)
        await self.places.announce(place, for_s=60)
        return server

    async def close(self) -> None:
        for server in self._servers.values():
            await server.close()


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path)
    yield cluster
    await cluster.close()


@asynccontextmanager
async def engine_of(cluster: Cluster, *, patience_s: float = 5.0) -> AsyncIterator[LaneSteps]:
    steps = LaneSteps(cluster.places, secret=SECRET, patience_s=patience_s, look_every_s=0.01)
    await steps.start()
    try:
        yield steps
    finally:
        await steps.close()


def a_flow(name: str = "f") -> tuple[Flow, Plan]:
    return Flow(name=name, nodes=(), edges=()), Plan(
        flow_digest="d", fusion="auto", steps=(Step(id=STEP, nodes=()),), edges=()
    )


def a_request(flow: Flow | None = None, plan: Plan | None = None) -> RunRequest:
    some_flow, some_plan = a_flow()
    return RunRequest(
        run=RunId("r"), tenant="t", flow=flow or some_flow, flow_id="f", plan=plan or some_plan, session="s"
    )


async def events_of(happening: AsyncGenerator[Sequence[StepEvent], None]) -> list[StepEvent]:
    async with aclosing(happening):
        return [event async for events in happening for event in events]


async def first_of(waits: Iterable[Coroutine[None, None, object]]) -> None:
    tasks = [asyncio.create_task(wait) for wait in waits]
    _, late = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in late:
        task.cancel()


@pytest.mark.parametrize("address", ["", "tls:127.0.0.1:0"])
async def test_a_step_runs_on_an_announced_runner(cluster: Cluster, address: str) -> None:
    runner = FakeRunner()
    await cluster.join(runner, address=address)
    request = a_request()

    async with engine_of(cluster) as steps:
        events = await events_of(steps.run(request, StartStep(step=STEP)))

    assert events == [StepStarted(step=STEP, attempt=1, runner="r1"), StepFinished(step=STEP)]
    assert runner.seen == [request]


async def test_a_flow_is_the_same_object_in_every_run_of_it(cluster: Cluster) -> None:
    runner = FakeRunner()
    await cluster.join(runner)
    flow, plan = a_flow()

    async with engine_of(cluster) as steps:
        for _ in range(3):
            await events_of(steps.run(a_request(flow, plan), StartStep(step=STEP)))

    assert len({id(request.flow) for request in runner.seen}) == 1


def test_both_ends_forget_the_same() -> None:
    here, there = Shelf[str, str](budget_bytes=10), Shelf[str, str](budget_bytes=10)
    used = "abacadabxa"

    kept = [[_use(shelf, name) for name in used] for shelf in (here, there)]

    assert kept[0] == kept[1]
    assert "known" in kept[0]


def _use(shelf: Shelf[str, str], name: str) -> str:
    if shelf.get(name) is not None:
        return "known"
    shelf.put(name, name, 5)
    return "sent"


async def test_steps_go_to_the_least_busy_runner(cluster: Cluster) -> None:
    runners = [FakeRunner("r1"), FakeRunner("r2")]
    for runner in runners:
        runner.go.clear()
        await cluster.join(runner)

    async with engine_of(cluster) as steps, asyncio.TaskGroup() as tasks:
        tasks.create_task(events_of(steps.run(a_request(), StartStep(step=STEP))))
        await first_of(runner.begun.wait() for runner in runners)
        tasks.create_task(events_of(steps.run(a_request(), StartStep(step=STEP))))
        async with asyncio.timeout(5):
            await asyncio.gather(*(runner.begun.wait() for runner in runners))
        for runner in runners:
            runner.go.set()

    assert [len(runner.seen) for runner in runners] == [1, 1]


async def test_a_step_waits_for_room_and_then_runs(cluster: Cluster) -> None:
    runner = FakeRunner()
    runner.go.clear()
    await cluster.join(runner, capacity=1)

    async with engine_of(cluster) as steps, asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(events_of(steps.run(a_request(), StartStep(step=STEP)))) for _ in range(3)]
        await runner.begun.wait()
        assert len(runner.seen) == 1
        runner.go.set()

    assert all(isinstance(run.result()[-1], StepFinished) for run in runs)


async def test_a_step_in_a_lent_turn_finds_room_where_there_is_none(cluster: Cluster) -> None:
    runner = FakeRunner()
    runner.go.clear()
    await cluster.join(runner, capacity=1)

    async with engine_of(cluster) as steps, asyncio.TaskGroup() as tasks:
        run = tasks.create_task(events_of(steps.run(a_request(), StartStep(step=STEP))))
        await runner.begun.wait()
        runner.begun.clear()
        lent = tasks.create_task(events_of(steps.run(a_request(), StartStep(step=STEP, lent=True))))
        await runner.begun.wait()
        assert len(runner.seen) == 2
        runner.go.set()

    assert all(isinstance(one.result()[-1], StepFinished) for one in (run, lent))


async def test_without_a_runner_the_step_is_unavailable_and_may_be_tried_again(cluster: Cluster) -> None:
    async with engine_of(cluster, patience_s=0.01) as steps:
        (failure,) = await events_of(steps.run(a_request(), StartStep(step=STEP)))

    assert isinstance(failure, StepFailed)
    assert (failure.kind, failure.retryable) == ("unavailable", True)


async def test_a_runner_that_joins_late_takes_the_step_that_waits(cluster: Cluster) -> None:
    async with engine_of(cluster) as steps:
        run = asyncio.create_task(events_of(steps.run(a_request(), StartStep(step=STEP))))
        await cluster.join(FakeRunner())
        events = await run

    assert events[-1] == StepFinished(step=STEP)


async def test_a_step_is_lost_with_its_runner(cluster: Cluster) -> None:
    runner = FakeRunner()
    runner.go.clear()
    server = await cluster.join(runner)

    async with engine_of(cluster) as steps:
        run = asyncio.create_task(events_of(steps.run(a_request(), StartStep(step=STEP))))
        await runner.begun.wait()
        await server.close()
        failure = (await run)[-1]

    assert isinstance(failure, StepFailed)
    assert (failure.kind, failure.retryable) == ("lost", False)


async def test_a_runner_that_has_nothing_new_to_tell_has_not_died(cluster: Cluster) -> None:
    class Silent(FakeRunner):
        async def run(
            self, request: RunRequest, step: StartStep, *, otherwise: Answers | None = None
        ) -> AsyncGenerator[Sequence[StepEvent], None]:
            async for events in super().run(request, step):
                yield events
                if not isinstance(events[-1], StepFinished):
                    yield ()

    await cluster.join(Silent())

    async with engine_of(cluster) as steps:
        events = await events_of(steps.run(a_request(), StartStep(step=STEP)))

    assert events == [StepStarted(step=STEP, attempt=1, runner="r1"), StepFinished(step=STEP)]


async def test_a_step_that_was_not_sent_may_be_tried_again(cluster: Cluster) -> None:
    await cluster.join(FakeRunner())
    (place,) = await cluster.places.all()
    ended = asyncio.Event()
    lane = Lane(place, secret=SECRET, answers=Desk(), on_leaving=lambda _: None, on_end=lambda _: ended.set())
    await lane.connect()
    lane.close()
    await ended.wait()

    (failure,) = await events_of(lane.run(a_request(), StartStep(step=STEP)))

    assert isinstance(failure, StepFailed)
    assert (failure.kind, failure.retryable) == ("unavailable", True)


async def test_closing_the_iterator_cancels_the_step(cluster: Cluster) -> None:
    runner = FakeRunner()
    runner.go.clear()
    await cluster.join(runner)

    async with engine_of(cluster) as steps:
        async with aclosing(steps.run(a_request(), StartStep(step=STEP))) as happening:
            await anext(happening)
        async with asyncio.timeout(5):
            await runner.cancelled.wait()


async def test_an_engine_that_goes_away_cancels_its_steps(cluster: Cluster) -> None:
    runner = FakeRunner()
    runner.go.clear()
    await cluster.join(runner)

    async with engine_of(cluster) as steps:
        run = asyncio.create_task(events_of(steps.run(a_request(), StartStep(step=STEP))))
        await runner.begun.wait()

    async with asyncio.timeout(5):
        await runner.cancelled.wait()
    await run


async def test_a_runner_that_drains_finishes_what_it_has_and_gets_nothing_new(cluster: Cluster) -> None:
    runner = FakeRunner()
    runner.go.clear()
    server = await cluster.join(runner)

    async with engine_of(cluster, patience_s=0.5) as steps, asyncio.TaskGroup() as tasks:
        old = tasks.create_task(events_of(steps.run(a_request(), StartStep(step=STEP))))
        await runner.begun.wait()
        draining = tasks.create_task(server.drain(within_s=5))
        new = await events_of(steps.run(a_request(), StartStep(step=STEP)))
        runner.go.set()
        await draining

    assert old.result()[-1] == StepFinished(step=STEP)
    assert isinstance(new[0], StepFailed)
    assert new[0].retryable


async def test_an_engine_with_another_secret_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    await cluster.join(FakeRunner())
    (place,) = await cluster.places.all()
    lane = Lane(place, secret=b"another", answers=Desk(), on_leaving=lambda _: None, on_end=lambda _: None)

    with pytest.raises(LaneError):
        await lane.connect()


async def test_a_peer_that_does_not_know_the_protocol_gets_no_answer(cluster: Cluster) -> None:
    await cluster.join(FakeRunner())
    (place,) = await cluster.places.all()
    reader, writer = await asyncio.open_unix_connection(place.address.removeprefix("unix:"))

    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await reader.readexactly(36)

    assert await reader.read() == b""
    writer.close()


async def test_a_runner_that_raises_fails_the_step_and_goes_on(cluster: Cluster) -> None:
    class Broken(FakeRunner):
        async def run(
            self, request: RunRequest, step: StartStep, *, otherwise: Answers | None = None
        ) -> AsyncGenerator[Sequence[StepEvent], None]:
            if not self.seen:
                self.seen.append(request)
                raise RuntimeError("a bug")
            async for events in super().run(request, step):
                yield events

    await cluster.join(Broken())

    async with engine_of(cluster) as steps:
        first = await events_of(steps.run(a_request(), StartStep(step=STEP)))
        second = await events_of(steps.run(a_request(), StartStep(step=STEP)))

    assert isinstance(first[-1], StepFailed)
    assert second[-1] == StepFinished(step=STEP)


async def test_an_encrypted_lane_takes_nobody_else_for_a_runner(cluster: Cluster) -> None:
    await cluster.join(FakeRunner(), address="tls:127.0.0.1:0")
    (place,) = await cluster.places.all()
    async with between(place.address) as address:
        lane = Lane(replace(place, address=address), secret=SECRET, answers=Desk(), on_leaving=nothing, on_end=nothing)
        with pytest.raises(LaneError, match="none of this service's Runners"):
            await lane.connect()


@asynccontextmanager
async def between(address: str) -> AsyncIterator[str]:
    """Somebody who passes on all that is said, and reads it: with a key of their own."""
    port = int(address.rpartition(":")[2])

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection("127.0.0.1", port, ssl=engine_side())
        await asyncio.wait(
            [asyncio.create_task(pipe(reader, to_there)), asyncio.create_task(pipe(there, writer))],
            return_when=asyncio.FIRST_COMPLETED,
        )
        to_there.close()
        writer.close()

    async with await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=runner_side(b"another")) as server:
        yield f"tls:127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)


def nothing(_: Lane) -> None:
    return

"""What steps ask of their engine: over the lane they came on, for the run they belong to, and no longer than that."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from flowray.engine.commands import StartStep
from flowray.engine.events import ChildStarted, Log, RunId, StepEvent, StepFinished, StepStarted
from flowray.engine.ports import RunRequest
from flowray.errors import FlowRayError, NotFoundError
from flowray.flow.types import NodeId
from flowray.runner.asking import Answer, Answers, Ask
from flowray_serve.lanes.steps import LaneSteps
from tests.unit.serve.test_lanes import SECRET, STEP, Cluster, FakeRunner, a_request, cluster

__all__ = ["cluster"]


class Asking(FakeRunner):
    """A Runner whose step asks one thing and logs the answer."""

    async def run(
        self, request: RunRequest, step: StartStep, *, otherwise: Answers | None = None
    ) -> AsyncGenerator[Sequence[StepEvent], None]:
        assert otherwise is not None
        yield (StepStarted(step=step.step, attempt=1, runner=self.name),)
        try:
            answer = await otherwise.answer(request, Ask(what="child", details={"flow": "f2"}, blob=b"b"))
        except FlowRayError as error:
            yield (Log(node=NodeId(""), text=f"{error.code}: {error.message}"),)
        else:
            yield (Log(node=NodeId(""), text=f"{answer.value} {answer.blob!r}"),)
        yield (StepFinished(step=step.step),)


class Engine:
    """Answers, and remembers in whose name it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Ask]] = []
        self.begun, self.given_up = asyncio.Event(), asyncio.Event()
        self.error: Exception | None = None
        self.slow = False

    async def answer(self, request: RunRequest, ask: Ask) -> Answer:
        self.asked.append((request.tenant, ask))
        self.begun.set()
        try:
            if self.slow:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.given_up.set()
            raise
        if self.error is not None:
            raise self.error
        return Answer(value=["done"], blob=b"bytes")

    async def note(self, request: RunRequest, told: Sequence[Ask]) -> None:
        raise AssertionError("nothing is told over a lane")


async def text_of(cluster: Cluster, engine: Engine) -> str:
    await cluster.join(Asking())
    steps = LaneSteps(cluster.places, secret=SECRET, answers=engine, patience_s=5, look_every_s=0.01)
    await steps.start()
    try:
        happening = steps.run(a_request(), StartStep(step=STEP))
        events = [event async for batch in happening for event in batch]
    finally:
        await steps.close()
    return next(event.text for event in events if isinstance(event, Log))


class Hasty(FakeRunner):
    """A Runner whose step asks before anybody was told that it began."""

    async def run(
        self, request: RunRequest, step: StartStep, *, otherwise: Answers | None = None
    ) -> AsyncGenerator[Sequence[StepEvent], None]:
        assert otherwise is not None
        await otherwise.answer(request, Ask(what="child"))
        yield (StepStarted(step=step.step, attempt=1, runner=self.name), StepFinished(step=step.step))


class Telling(Engine):
    """An engine that tells what it does for who asks."""

    async def answer(self, request: RunRequest, ask: Ask) -> Answer:
        assert ask.tell is not None
        ask.tell(ChildStarted(step=STEP, child=RunId("c"), flow="f2"))
        return await super().answer(request, ask)


@pytest.mark.parametrize("runner", [Asking, Hasty])
async def test_what_is_done_for_a_step_is_told_after_its_beginning(cluster: Cluster, runner: type[FakeRunner]) -> None:
    await cluster.join(runner())
    steps = LaneSteps(cluster.places, secret=SECRET, answers=Telling(), patience_s=5, look_every_s=0.01)
    await steps.start()

    events = [event async for batch in steps.run(a_request(), StartStep(step=STEP)) for event in batch]

    await steps.close()
    assert [type(event) for event in events[:2]] == [StepStarted, ChildStarted]


async def test_the_engine_answers_for_the_run_that_it_started(cluster: Cluster) -> None:
    engine = Engine()

    text = await text_of(cluster, engine)

    assert text == "['done'] b'bytes'"
    assert engine.asked == [("t", Ask(what="child", details={"flow": "f2"}, blob=b"b"))]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (NotFoundError("There is no flow `f2`."), "not_found: There is no flow `f2`."),
        (ValueError("a bug"), "internal_error: The service could not answer."),
    ],
)
async def test_an_error_of_the_engine_reaches_who_asked(cluster: Cluster, error: Exception, told: str) -> None:
    engine = Engine()
    engine.error = error

    assert await text_of(cluster, engine) == told


async def test_the_answer_to_a_cancelled_step_is_given_up(cluster: Cluster) -> None:
    engine = Engine()
    engine.slow = True
    await cluster.join(Asking())
    steps = LaneSteps(cluster.places, secret=SECRET, answers=engine, patience_s=5, look_every_s=0.01)
    await steps.start()

    async with aclosing(steps.run(a_request(), StartStep(step=STEP))) as happening:
        await anext(happening)
        await engine.begun.wait()

    await asyncio.wait_for(engine.given_up.wait(), 5)
    await steps.close()


async def test_a_runner_that_loses_its_engine_hears_no_answer_and_does_not_wait(cluster: Cluster) -> None:
    engine = Engine()
    engine.slow = True
    server = await cluster.join(Asking())
    steps = LaneSteps(cluster.places, secret=SECRET, answers=engine, patience_s=5, look_every_s=0.01)
    await steps.start()
    happening = steps.run(a_request(), StartStep(step=STEP))
    await anext(happening)
    await engine.begun.wait()

    await steps.close()

    await server.drain(within_s=5)
    assert server.running == 0
    await happening.aclose()

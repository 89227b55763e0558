"""Both ends of a lane agree, whatever arrives in one read and however full the lane is."""

import asyncio
import struct
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path

from flowray.component.terms import Terms
from flowray.engine.commands import StartStep
from flowray.engine.events import Log, NodeStarted, StepEvent, StepFailed, StepFinished, StepStarted
from flowray.engine.ports import RunRequest
from flowray.flow.types import NodeId
from flowray.plan.types import Step, StepId
from flowray.runner.asking import Answers
from flowray.stores.places import Place
from flowray_serve.lanes.frames import frame
from flowray_serve.lanes.messages import Leaving, encode
from flowray_serve.lanes.proof import Challenge
from flowray_serve.lanes.shelf import BUDGET_BYTES
from flowray_serve.lanes.steps import LaneSteps
from tests.unit.serve.test_lanes import (
    SECRET,
    STEP,
    Cluster,
    FakeRunner,
    a_flow,
    a_request,
    cluster,
    engine_of,
    events_of,
)

__all__ = ["cluster"]


def of_size(size: int) -> RunRequest:
    return a_request(*a_flow("x" * size))


async def end_of(steps: LaneSteps, request: RunRequest) -> StepEvent:
    return (await events_of(steps.run(request, StartStep(step=STEP))))[-1]


async def test_a_flow_is_still_known_when_its_step_and_a_new_flow_come_in_one_read(cluster: Cluster) -> None:
    await cluster.join(FakeRunner())
    used, full, new = of_size(BUDGET_BYTES // 2), of_size(BUDGET_BYTES // 2 - 10_000), of_size(20_000)

    async with engine_of(cluster) as steps:
        before = [await end_of(steps, request) for request in (used, full)]
        at_once = await asyncio.gather(end_of(steps, used), end_of(steps, new))
        after = await end_of(steps, used)

    assert [*before, *at_once, after] == [StepFinished(step=STEP)] * 5


async def test_a_flow_is_still_known_when_its_step_is_cancelled_before_it_begins(cluster: Cluster) -> None:
    runner = FakeRunner()
    await cluster.join(runner)
    used, full, new = of_size(BUDGET_BYTES // 2), of_size(BUDGET_BYTES // 2 - 10_000), of_size(20_000)

    async with engine_of(cluster) as steps:
        before = [await end_of(steps, request) for request in (used, full)]
        cancelled = asyncio.create_task(end_of(steps, used))
        asyncio.get_running_loop().call_soon(cancelled.cancel)
        await asyncio.wait([cancelled])
        after = [await end_of(steps, request) for request in (new, used)]

    assert [*before, *after] == [StepFinished(step=STEP)] * 4
    assert len(runner.seen) == 4


CAREFUL = StepId("careful")


class Flooded(FakeRunner):
    """All steps go on in one moment: one begins a node that waits for its record, the others fill the lane."""

    async def run(
        self, request: RunRequest, step: StartStep, *, otherwise: Answers | None = None
    ) -> AsyncGenerator[Sequence[StepEvent], None]:
        yield (StepStarted(step=step.step, attempt=1, runner=self.name),)
        await self.go.wait()
        if step.step == CAREFUL:
            yield (NodeStarted(node=NodeId(CAREFUL)),)
        else:
            yield (Log(node=NodeId(step.step), text="x" * 4_000_000),)
        yield (StepFinished(step=step.step),)


async def test_a_node_that_waits_for_its_record_begins_also_when_the_lane_is_full(cluster: Cluster) -> None:
    runner = Flooded()
    runner.go.clear()
    await cluster.join(runner)
    ids = (StepId("flood"), CAREFUL, StepId("flood too"))
    flow, plan = a_flow()
    planned = tuple(Step(id=step, nodes=(NodeId(step),)) for step in ids)
    request = a_request(flow, replace(plan, steps=planned, terms={NodeId(CAREFUL): Terms(effect="ask")}))

    async with engine_of(cluster) as steps, asyncio.timeout(5):
        happening = [steps.run(request, StartStep(step=step)) for step in ids]
        for one in happening:
            await anext(one)
        runner.go.set()
        events = await asyncio.gather(*(events_of(one) for one in happening))

    assert [each[-1] for each in events] == [StepFinished(step=step) for step in ids]


async def test_a_runner_that_is_met_while_it_drains_gets_no_steps(cluster: Cluster) -> None:
    server = await cluster.join(FakeRunner())
    await server.drain(within_s=5)

    async with engine_of(cluster, patience_s=0.2) as steps:
        failure = await end_of(steps, a_request())

    assert isinstance(failure, StepFailed)
    assert "had room within" in failure.error


async def test_a_runner_that_leaves_with_the_last_word_of_its_welcome_gets_no_steps(
    cluster: Cluster, tmp_path: Path
) -> None:
    place = Place(name="r1", pool="default", address=f"unix:{tmp_path / 'r1'}", capacity=4)
    await cluster.places.announce(place, for_s=60)

    runner = await asyncio.start_unix_server(welcome_and_leave, tmp_path / "r1")
    async with runner, engine_of(cluster, patience_s=0.2) as steps:
        failure = await end_of(steps, a_request())

    assert isinstance(failure, StepFailed)
    assert "had room within" in failure.error


async def welcome_and_leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be a Runner whose last word of the handshake comes in one read with its leaving; hang up on any step."""
    challenge = Challenge(SECRET)
    writer.write(frame(challenge.nonce))
    (size,) = struct.unpack(">I", await reader.readexactly(4))
    answer = challenge.answer(await reader.readexactly(size))
    writer.write(frame(answer) + frame(encode(Leaving())))
    await reader.read(1)
    writer.close()

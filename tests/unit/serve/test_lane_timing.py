"""Both ends of a lane agree, whatever arrives in one read and however full the lane is."""

import asyncio

from flowray.engine.commands import StartStep
from flowray.engine.events import StepEvent, StepFinished
from flowray.engine.ports import RunRequest
from flowray_serve.lanes.shelf import BUDGET_BYTES
from flowray_serve.lanes.steps import LaneSteps
from tests.unit.serve.test_lanes import STEP, Cluster, FakeRunner, a_flow, a_request, cluster, engine_of, events_of

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

"""Results that are used again: when, for how long, and what makes them others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flowray.component.terms import FROZEN_S, Terms
from flowray.engine.cached import RUNNER, CachedSteps, key_of
from flowray.engine.commands import StartStep
from flowray.engine.drive import told
from flowray.engine.events import NodeFinished, RunId, StepEvent, StepStarted
from flowray.engine.fake import FakeSteps
from flowray.engine.ports import RunRequest
from flowray.engine.values import Value
from flowray.flow.langflow import read
from flowray.flow.types import NodeId
from flowray.plan.planner import plan
from flowray.plan.types import StepId
from flowray.stores.memory_results import MemoryResults
from flowray.stores.objects import open_objects
from tests.unit.build import document, field, node, output
from tests.unit.engine.happenings import failed, finished, started, text

A, STEP = NodeId("a"), StepId("s1")
SECRET = b"the service's"


def request(*, frozen: bool = False, value: str = "x", code: str = "x = 1", **facts: Any) -> RunRequest:
    """A flow of one node that may be remembered for a minute."""
    metadata = {} if frozen else {"flowray": {"cache_s": 60}}
    one = node("a", fields=(field("n", value=value),), code=code, metadata=metadata, frozen=frozen)
    flow = read({"name": "Test", "data": {"nodes": [one], "edges": []}})
    known: dict[str, Any] = {"run": RunId("r1"), "tenant": "acme", "flow_id": "f1", "session": "s1", **facts}
    return RunRequest(flow=flow, plan=plan(flow), **known)


class Memory:
    """Cached steps over fakes, with a clock of their own."""

    def __init__(self, script: dict[str, Any] | None = None) -> None:
        self.now = 0.0
        self.fake = FakeSteps(script)
        results = MemoryResults(open_objects("memory:"), clock=lambda: self.now)
        self._steps = CachedSteps(self.fake, results, secret=SECRET, clock=lambda: self.now)

    async def run(self, wanted: RunRequest, start: StartStep | None = None) -> list[StepEvent]:
        """What is told of a step, by somebody who leaves once it is over, as the engine does."""
        return [one async for batch in told(self._steps, wanted, start or StartStep(step=STEP)) for one in batch]

    @property
    def ran(self) -> int:
        return len(self.fake.commands)


async def test_the_same_again_is_told_without_a_sandbox_and_says_so() -> None:
    memory = Memory()
    first = await memory.run(request())
    second = await memory.run(request(run=RunId("r2")))
    assert memory.ran == 1
    assert isinstance(second[0], StepStarted)
    assert second[0].runner == RUNNER
    [made] = [event for event in first if isinstance(event, NodeFinished)]
    [again] = [event for event in second if isinstance(event, NodeFinished)]
    assert (made.cached, again) == (False, replace(made, cached=True))


async def test_it_is_forgotten_when_its_time_is_over() -> None:
    memory = Memory()
    await memory.run(request())
    memory.now = 61.0
    await memory.run(request())
    assert memory.ran == 2


@pytest.mark.parametrize(
    "other",
    [
        {"value": "y"},
        {"code": "x = 2"},
        {"tenant": "other"},
        {"variables": {"KEY": "rotated"}},
        {"context": {"language": "de"}},
    ],
)
async def test_what_differs_is_run(other: dict[str, Any]) -> None:
    memory = Memory()
    await memory.run(request())
    context = other.pop("context", {})
    await memory.run(request(**other), StartStep(step=STEP, context=context))
    assert memory.ran == 2


async def test_a_node_that_is_fed_something_else_is_run_unless_it_is_frozen() -> None:
    fed = [StartStep(step=STEP, upstream={NodeId("z"): {"out": text(said)}}) for said in ("one", "two")]
    memory, frozen = Memory(), Memory()
    for start in fed:
        await memory.run(request(), start)
        await frozen.run(request(frozen=True), start)
    assert (memory.ran, frozen.ran) == (2, 1)


def plugged(*wires: str) -> RunRequest:
    """Two nodes, the second of which may be remembered, wired in one way or another."""
    first = node("a", outputs=(output("x", "Message"), output("y", "Message")))
    taken = (field("p", "Message"), field("q", "Message"))
    last = node("b", fields=taken, metadata={"flowray": {"cache_s": 60}})
    flow = read(document(first, last, wires=wires))
    return RunRequest(run=RunId("r1"), tenant="acme", flow_id="f1", session="s1", flow=flow, plan=plan(flow))


async def test_a_node_that_is_wired_otherwise_is_run() -> None:
    memory = Memory()
    one, other = plugged("a.x > b.p", "a.y > b.q"), plugged("a.x > b.q", "a.y > b.p")
    for wanted in (one, other, one):
        [step] = [step.id for step in wanted.plan.steps if NodeId("b") in step.nodes]
        fed = {A: {"x": text("one"), "y": text("two")}}
        await memory.run(wanted, StartStep(step=step, upstream=fed))
    assert memory.ran == 2


async def test_the_same_message_of_another_moment_is_the_same() -> None:
    memory = Memory()
    for moment in ("10:00", "10:01"):
        said = Value(type="message", json={"text": "Hello", "timestamp": moment, "run_id": moment})
        await memory.run(request(), StartStep(step=STEP, upstream={NodeId("z"): {"out": said}}))
    assert memory.ran == 1


async def test_failures_and_live_objects_are_not_remembered() -> None:
    live = Value(type="object", json={"$flowray": "opaque", "value": "Lock"})
    broken = Memory({"s1": [[started("s1")], [failed("s1")]]})
    alive = Memory({"s1": [[started("s1")], [NodeFinished(node=A, outputs={"out": live}), finished("s1")]]})
    for memory in (broken, alive):
        await memory.run(request())
        await memory.run(request())
        assert memory.ran == 2


async def test_a_part_of_a_step_is_not_remembered() -> None:
    memory = Memory()
    await memory.run(request(), StartStep(step=STEP, answers={"r": {"action_id": "yes"}}))
    await memory.run(request())
    assert memory.ran == 2


@pytest.mark.parametrize("other", [{"record": True}, {"tape": "r0"}])
async def test_a_recorded_run_and_a_replay_take_nothing_from_memory_and_leave_nothing(other: dict[str, Any]) -> None:
    memory = Memory()
    await memory.run(request(**other))
    await memory.run(request())
    await memory.run(request(**other))
    assert memory.ran == 3


def test_a_key_tells_nothing_of_its_secrets() -> None:
    wanted, start = request(variables={"KEY": "sk-123"}), StartStep(step=STEP)
    assert key_of(wanted, start, secret=SECRET) != key_of(wanted, start, secret=b"another's")
    assert "sk-123" not in key_of(wanted, start, secret=SECRET)


def test_a_frozen_node_keeps_its_result_for_a_month_and_runs_alone() -> None:
    made = request(frozen=True).plan
    assert made.terms_of(A) == Terms(cache_s=FROZEN_S)
    assert made.steps[0].resources.alone

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

import pytest

from flowray.component.terms import Terms
from flowray.engine.events import (
    Event,
    NodeFinished,
    NodePaused,
    NodeStarted,
    Recorded,
    RunFinished,
    RunPaused,
    RunResumed,
    StepFailed,
    StepPaused,
    StepStarted,
)
from flowray.engine.fake import FakeSteps
from flowray.engine.hold import Hold, RunLeftError
from flowray.engine.ledger import Durability
from flowray.engine.loop import Engine
from flowray.errors import ConflictError, RunnerUnavailableError, StoreUnavailableError
from flowray.flow.types import NodeId
from flowray.plan.types import Step, StepId
from flowray.stores.memory_journal import MemoryJournal
from tests.unit.build import plan_of
from tests.unit.engine.happenings import failed, finished, gave, started, text
from tests.unit.engine.whole_runs import ACCEPTED, RUN, TENANT, all_of, end_of, engine, journaled, kinds, request

A, B = StepId("a"), StepId("b")


async def test_a_run_is_told_from_its_acceptance_to_its_end() -> None:
    told = await engine(FakeSteps()).execute(request(plan_of(a="")))
    assert kinds(told) == [
        "run_accepted",
        "run_started",
        "step_queued",
        "step_started",
        "node_started",
        "node_finished",
        "step_finished",
        "run_finished",
    ]
    assert [one.seq for one in told] == list(range(1, 9))
    assert {(one.at, one.run) for one in told} == {(1.5, RUN)}
    assert told[0].event == ACCEPTED


async def test_values_go_from_step_to_step() -> None:
    steps = FakeSteps()
    await engine(steps).execute(request(plan_of(a="", b="a")))
    assert [dict(command.upstream) for command in steps.commands] == [{}, {NodeId("a"): {"out": text("a")}}]


async def test_branches_run_at_the_same_time() -> None:
    steps = FakeSteps(held=["a", "b"])
    async with aclosing(engine(steps).run(request(plan_of(a="", b="", c="a b")))) as told:
        reading = asyncio.create_task(all_of(told))
        await steps.running("a")
        await steps.running("b")
        steps.release("a")
        steps.release("b")
        assert end_of(await reading).status == "succeeded"


@pytest.mark.parametrize("durability", ["strict", "pipelined", "relaxed"])
async def test_the_journal_holds_what_was_told(durability: Durability) -> None:
    journal = MemoryJournal()
    told = await engine(FakeSteps(), journal, durability=durability).execute(request(plan_of(a="", b="a", c="a")))
    assert tuple(await journaled(journal)) == told


async def test_a_strict_journal_knows_of_a_step_before_it_starts() -> None:
    journal, steps = MemoryJournal(), FakeSteps(held=["a"])
    run = engine(steps, journal, durability="strict").run(request(plan_of(a="")))
    reading = asyncio.create_task(all_of(run))
    await steps.running("a")
    assert kinds(await journaled(journal)) == ["run_accepted", "run_started", "step_queued", "step_started"]
    steps.release("a")
    await reading


async def test_a_pipelined_journal_is_written_while_the_run_goes_on() -> None:
    journal, steps = CountingJournal(), FakeSteps(held=["a"])
    reading = asyncio.create_task(all_of(engine(steps, journal).run(request(plan_of(a="")))))
    await journal.written.wait()
    assert not reading.done()
    steps.release("a")
    await reading


async def test_a_short_run_is_one_append() -> None:
    journal = CountingJournal()
    await engine(FakeSteps(), journal).execute(request(plan_of(a="", b="a")))
    assert journal.appended == [13]


async def test_the_start_of_a_cautious_node_is_written_before_anything_follows() -> None:
    journal, steps = MemoryJournal(), FakeSteps(held=["a"])
    plan = replace(plan_of(a=""), terms={NodeId("a"): Terms(effect="ask")})
    steps.script["a"] = [[started("a"), NodeStarted(node=NodeId("a"))], [gave("a", out="x")], [finished("a")]]
    running = asyncio.create_task(engine(steps, journal, durability="relaxed").execute(request(plan)))
    await steps.running("a")
    assert kinds(await journaled(journal))[-1] == "node_started"
    steps.release("a")
    await running


async def test_a_failing_step_fails_the_run_and_stops_the_others() -> None:
    steps = FakeSteps({"a": [[started("a")], [failed("a", "no key")]]}, held=["a", "b"])
    running = asyncio.create_task(engine(steps).execute(request(plan_of(a="", b=""))))
    await steps.running("b")
    steps.release("a")
    told = await running
    assert end_of(told) == RunFinished(status="failed", error="no key", kind="component")
    assert steps.cancelled == ["b"]


async def test_a_step_that_found_no_runner_is_tried_again() -> None:
    steps = FakeSteps({"a": [[failed("a", retryable=True)]], "a#2": [RunnerUnavailableError("still none")]})
    told = await engine(steps).execute(request(plan_of(a="")))
    assert end_of(told).status == "succeeded"
    assert [command.attempt for command in steps.commands] == [1, 2, 3]


async def test_a_step_that_is_lost_each_time_fails_the_run() -> None:
    steps = FakeSteps({name: [[started("a")], RunnerUnavailableError("gone")] for name in ("a", "a#2", "a#3")})
    told = await engine(steps).execute(request(plan_of(a="")))
    assert end_of(told) == RunFinished(status="failed", error="gone", kind="lost")
    assert [command.attempt for command in steps.commands] == [1, 2, 3]


async def test_a_step_that_goes_silent_is_lost_and_run_again() -> None:
    steps = FakeSteps({"a": [[started("a")]]})
    told = await engine(steps).execute(request(plan_of(a="")))
    [lost] = [one.event for one in told if isinstance(one.event, StepFailed)]
    assert (lost.kind, "went silent" in lost.error) == ("lost", True)
    assert end_of(told).status == "succeeded"


async def test_cancelling_the_caller_cancels_the_run_and_records_it() -> None:
    journal, steps = MemoryJournal(), FakeSteps(held=["a"])
    running = asyncio.create_task(engine(steps, journal).execute(request(plan_of(a=""))))
    await steps.running("a")
    running.cancel("enough")
    with pytest.raises(asyncio.CancelledError):
        await running
    assert steps.cancelled == ["a"]
    assert end_of(await journaled(journal)) == RunFinished(status="cancelled", kind="cancelled", error="enough")


async def test_a_reader_that_leaves_cancels_its_run() -> None:
    journal, steps = MemoryJournal(), FakeSteps(held=["a"])
    async with aclosing(engine(steps, journal).run(request(plan_of(a="")))) as told:
        async for one in told:
            if isinstance(one.event, StepStarted):
                break
    assert end_of(await journaled(journal)).status == "cancelled"
    assert steps.cancelled == ["a"]


async def test_a_slow_reader_gets_everything() -> None:
    many = [[gave("a", out=str(number))] for number in range(300)]
    steps = FakeSteps({"a": [[started("a")], *many, [finished("a")]]})
    told = []
    async for one in engine(steps).run(request(plan_of(a=""))):
        await asyncio.sleep(0)
        told.append(one)
    assert sum(isinstance(one.event, NodeFinished) for one in told) == 300
    assert end_of(told).status == "succeeded"


@pytest.mark.parametrize("durability", ["strict", "pipelined"])
async def test_a_journal_that_cannot_be_reached_ends_the_run(durability: Durability) -> None:
    with pytest.raises(StoreUnavailableError):
        await engine(FakeSteps(), BrokenJournal(), durability=durability).execute(request(plan_of(a="")))


async def test_a_relaxed_run_answers_without_its_journal() -> None:
    told = await engine(FakeSteps(), BrokenJournal(), durability="relaxed").execute(request(plan_of(a="")))
    assert end_of(told).status == "succeeded"


async def test_a_mistake_in_the_engines_surroundings_is_raised_and_recorded() -> None:
    journal = MemoryJournal()
    steps = FakeSteps({"a": [[started("a")], ZeroDivisionError("oops")]})
    with pytest.raises(ZeroDivisionError):
        await engine(steps, journal).execute(request(plan_of(a="")))
    assert end_of(await journaled(journal)) == RunFinished(
        status="failed", error="FlowRay could not go on with the run: oops"
    )


async def test_a_plan_that_cannot_go_on_ends_the_run() -> None:
    plan = plan_of(a="")
    knot = type(plan)(
        flow_digest="test", fusion="none", steps=(Step(id=A, nodes=(NodeId("a"),), needs=(A,)),), edges=()
    )
    told = await engine(FakeSteps()).execute(request(knot))
    assert end_of(told) == RunFinished(status="failed", error="The plan's steps wait for one another: `a`.")


async def test_a_run_goes_on_after_its_last_finished_step() -> None:
    journal = MemoryJournal()
    past = await recorded(journal, *(await _first_events()), gave("a", out="from before"), finished("a"))
    steps = FakeSteps()
    told = [one async for one in engine(steps, journal, name="engine-2").resume(request(plan_of(a="", b="a")), past)]
    assert [dict(command.upstream) for command in steps.commands] == [{NodeId("a"): {"out": text("from before")}}]
    assert await journaled(journal) == [*past, *told]
    assert end_of(told).status == "succeeded"


async def test_a_run_that_was_only_accepted_starts_from_there() -> None:
    journal = MemoryJournal()
    past = await recorded(journal, (await _first_events())[0])
    told = [one async for one in engine(FakeSteps(), journal).resume(request(plan_of(a="")), past)]
    assert kinds(told)[0] == "run_started"
    assert end_of(told).status == "succeeded"


async def test_a_step_that_ran_when_its_engine_died_is_run_again() -> None:
    journal = MemoryJournal()
    past = await recorded(journal, *(await _first_events()), started("a"))
    steps = FakeSteps()
    told = [one async for one in engine(steps, journal).resume(request(plan_of(a="")), past)]
    assert kinds(told)[:3] == ["run_started", "step_failed", "step_queued"]
    assert [command.attempt for command in steps.commands] == [2]
    assert end_of(told).status == "succeeded"


async def test_a_run_whose_nodes_all_wait_is_let_go_and_goes_on_once_answered() -> None:
    journal = MemoryJournal()
    asks = NodePaused(node=NodeId("a"), request={"request_id": "r1", "prompt": "Go on?"})
    steps = FakeSteps({"a": [[started("a")], [asks, StepPaused(step=A)]]})
    plan = plan_of(a="", b="a")
    await engine(steps, journal).execute(request(plan))
    paused = await journaled(journal)
    assert paused[-1].event == RunPaused(request={"request_id": "r1", "prompt": "Go on?"})

    answer = RunResumed(node=NodeId("a"), request_id="r1", decision={"action_id": "yes"})
    await journal.append(TENANT, [Recorded(seq=paused[-1].seq + 1, at=2.0, run=RUN, event=answer)])
    past = await journaled(journal)
    told = [one async for one in engine(steps, journal, name="engine-2").resume(request(plan), past)]
    assert steps.commands[1].answers == {"r1": {"action_id": "yes"}}
    assert end_of(told).status == "succeeded"


async def test_a_paused_run_that_nobody_answered_pauses_again() -> None:
    journal = MemoryJournal()
    asks = NodePaused(node=NodeId("a"), request={"request_id": "r1"})
    steps = FakeSteps({"a": [[started("a")], [asks, StepPaused(step=A)]]})
    await engine(steps, journal).execute(request(plan_of(a="")))
    past = await journaled(journal)
    told = [one async for one in engine(steps, journal).resume(request(plan_of(a="")), past)]
    assert kinds(told) == ["run_started", "run_paused"]
    assert len(steps.commands) == 1


async def test_a_node_that_waits_holds_no_sandbox_and_says_until_when() -> None:
    plan = replace(plan_of(a="", b="a"), terms={NodeId("b"): Terms(wait_s=60.0)})
    told = await engine(FakeSteps()).execute(request(plan))
    assert [one.event for one in told[-2:]] == [NodePaused(node=NodeId("b"), until=61.5), RunPaused(until=61.5)]


async def test_an_engine_that_was_thought_dead_cannot_go_on() -> None:
    journal, steps = MemoryJournal(), FakeSteps(held=["a"])
    slow = asyncio.create_task(engine(steps, journal, durability="strict").execute(request(plan_of(a=""))))
    await steps.running("a")
    past = await journaled(journal)
    told = [one async for one in engine(FakeSteps(), journal, name="engine-2").resume(request(plan_of(a="")), past)]
    steps.release("a")
    with pytest.raises(ConflictError):
        await slow
    assert await journaled(journal) == [*past, *told]


async def test_a_finished_run_is_left_alone() -> None:
    journal = MemoryJournal()
    past = await engine(FakeSteps(), journal).execute(request(plan_of(a="")))
    assert [one async for one in engine(FakeSteps(), journal).resume(request(plan_of(a="")), past)] == []


async def test_a_node_that_has_waited_long_enough_runs() -> None:
    plan = replace(plan_of(a="", b="a"), terms={NodeId("b"): Terms(wait_s=60.0)})
    journal, steps = MemoryJournal(), FakeSteps()
    await engine(steps, journal).execute(request(plan))

    early = Engine(journal, steps, name="engine-2", clock=lambda: 61.0)
    assert kinds([one async for one in early.resume(request(plan), await journaled(journal))])[-1] == "run_paused"

    late = Engine(journal, steps, name="engine-3", clock=lambda: 62.0)
    told = [one async for one in late.resume(request(plan), await journaled(journal))]
    assert kinds(told)[:3] == ["run_started", "run_resumed", "step_queued"]
    assert end_of(told).status == "succeeded"
    assert [command.step for command in steps.commands] == ["a", "b"]


async def test_a_run_that_is_left_as_its_wait_ends_pauses_no_more() -> None:
    plan = replace(plan_of(a="", b="a"), terms={NodeId("b"): Terms(wait_s=60.0)})
    journal, steps = MemoryJournal(), FakeSteps()
    await engine(steps, journal).execute(request(plan))
    hold = Hold()
    hold.leave()

    leaving = Engine(journal, steps, name="engine-2", clock=lambda: 62.0)
    with pytest.raises(RunLeftError):
        await leaving.drive(request(plan), await journaled(journal), hold=hold)

    assert kinds(await journaled(journal))[-1] == "step_queued"
    last = Engine(journal, steps, name="engine-3", clock=lambda: 63.0)
    told = [one async for one in last.resume(request(plan), await journaled(journal))]
    assert end_of(told).status == "succeeded"


class CountingJournal(MemoryJournal):
    """Knows how many events each append brought."""

    def __init__(self) -> None:
        super().__init__()
        self.appended: list[int] = []
        self.written = asyncio.Event()

    async def append(self, tenant: str, events: Sequence[Recorded], *, lease: int = 0) -> None:
        self.appended.append(len(events))
        await super().append(tenant, events, lease=lease)
        self.written.set()


class BrokenJournal(MemoryJournal):
    """A journal whose store is away."""

    async def append(self, tenant: str, events: Sequence[Recorded], *, lease: int = 0) -> None:
        del tenant, events, lease
        raise StoreUnavailableError("no answer")


async def _first_events() -> list[Event]:
    told = await engine(FakeSteps()).execute(request(plan_of(a="")))
    return [one.event for one in told[:3]]


async def recorded(journal: MemoryJournal, *events: Event) -> list[Recorded]:
    past = [Recorded(seq=seq, at=1.0, run=RUN, event=event) for seq, event in enumerate(events, 1)]
    await journal.append(TENANT, past)
    return past

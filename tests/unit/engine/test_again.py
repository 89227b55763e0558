"""Running again from a node: which nodes run, and what the new run's journal begins with."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from flowray.engine.advance import replay
from flowray.engine.again import UnknownNodeError, rerun_set, taken_over
from flowray.engine.events import Event, NodeFinished, Recorded, RunAccepted, RunId, RunStarted
from flowray.engine.fake import FakeSteps
from flowray.engine.loop import Engine
from flowray.engine.state import State
from flowray.flow.types import NodeId
from flowray.plan.types import Plan
from flowray.stores.memory_journal import MemoryJournal
from tests.unit.engine.happenings import after, closed, gave, starts
from tests.unit.engine.test_closed_branches import wired
from tests.unit.engine.test_going_on import CHAIN, ids, looped, ran, runs
from tests.unit.engine.whole_runs import RUN, TENANT, end_of, journaled, request

SPLIT = wired("a.out > b", "b.out > c", "a.out > d")


def told(*events: Event) -> list[Recorded]:
    return [Recorded(seq=seq, at=1.0, run=RunId("old"), event=event) for seq, event in enumerate(events, 1)]


def nodes_of(events: Sequence[Event]) -> list[NodeId]:
    return [event.node for event in events if isinstance(event, NodeFinished)]


def test_a_node_runs_again_with_all_that_hangs_on_it() -> None:
    assert rerun_set(SPLIT, NodeId("b")) == ids("b", "c")


def test_a_node_of_a_loops_body_means_the_whole_loop() -> None:
    assert rerun_set(looped(), NodeId("body")) == ids("loop", "body", "end")


def test_a_node_that_is_not_there_is_named_with_the_one_that_was_meant() -> None:
    with pytest.raises(UnknownNodeError, match="No node `bb` runs in this flow"):
        rerun_set(SPLIT, NodeId("bb"))


def test_what_had_finished_before_is_taken_over_and_marked() -> None:
    events = taken_over(SPLIT, told(*ran("a", "d", "b"), *runs("c")), ids("b", "c"))
    assert nodes_of(events) == ["a", "d"]
    assert all(event.cached for event in events if isinstance(event, NodeFinished))


def test_what_had_not_finished_runs() -> None:
    assert nodes_of(taken_over(SPLIT, told(*ran("a"), *runs("d")), ids("b", "c"))) == ["a"]


def test_branches_that_were_closed_are_closed_again() -> None:
    router = wired("router.yes > a", "router.no > b", "a.out > c")
    past = told(*runs("router"), closed("router", "no"), gave("router", out="x"), *ran("a", "c"))
    state = replay(State.start(router), told(*taken_over(router, past, ids("c"))))
    assert state.stopped[NodeId("router")] == {"no"}


def test_a_run_goes_on_behind_any_number_of_steps_that_had_finished() -> None:
    names = [f"n{at}" for at in range(600)]
    chain = wired(*(f"{one}.out > {other}" for one, other in pairwise(names)))

    _, commands = after(State.start(chain), *ran(*names[:-1]), RunStarted(engine="engine-1"))

    assert starts(commands) == names[-1:]


def test_what_is_ready_starts_before_what_comes_behind_a_step_that_had_finished() -> None:
    plan = wired("a.out > b", "b.out > c", "a.out > d", "x.out > y")

    _, commands = after(State.start(plan), *ran("a", "b"), RunStarted(engine="engine-1"))

    assert starts(commands) == ["x", "d", "c"]


@pytest.mark.parametrize(("plan", "start", "steps"), [(SPLIT, "b", ["b", "c"]), (CHAIN, "c", ["a b c"])])
async def test_a_new_run_does_only_what_is_left(plan: Plan, start: str, steps: list[str]) -> None:
    old = told(*ran("a", "b", "c", *(["d"] if plan is SPLIT else [])))
    first = RunAccepted(tenant=TENANT, flow="f", flow_name="F", version="v", session="s", parent="old", from_node=start)
    events = [first, *taken_over(plan, old, rerun_set(plan, NodeId(start)))]
    past = [Recorded(seq=seq, at=1.0, run=RUN, event=event) for seq, event in enumerate(events, 1)]
    journal, fake = MemoryJournal(), FakeSteps()
    await journal.append(TENANT, past)

    fresh = [one async for one in Engine(journal, fake, name="engine-2").resume(request(plan), past)]

    assert [command.step for command in fake.commands] == steps
    assert end_of(fresh).status == "succeeded"
    assert nodes_of([one.event for one in await journaled(journal)])[-1] == "c"

"""A step that is lost or fails midway: what is run again, with what, and what is asked first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowray.component.terms import Effect, Terms
from flowray.engine.commands import FinishRun, NoteDecision, PauseNode, PauseRun, StartStep
from flowray.engine.events import (
    Event,
    NodeFailed,
    NodeFinished,
    NodePaused,
    NodeStarted,
    RunResumed,
    RunStarted,
    StepFailed,
)
from flowray.engine.state import State
from flowray.engine.values import Value
from flowray.flow.types import Edge, NodeId
from flowray.plan.types import Plan, StepId
from tests.unit.engine.happenings import Commands, after, begun, closed, finished, gave, started, text
from tests.unit.engine.test_closed_branches import wired

STEP = StepId("a b c")
CHAIN = wired("a.out > b", "b.out > c", steps=("a b c",))
LIVE = Value(type="object", json={"$flowray": "opaque", "value": "ChatOpenAI"})


def runs(*nodes: str) -> tuple[Event, ...]:
    """Nodes that started and have not ended."""
    return tuple(NodeStarted(node=NodeId(node)) for node in nodes)


def ran(*nodes: str) -> tuple[Event, ...]:
    """Nodes that ran and finished."""
    return tuple(event for node in nodes for event in (NodeStarted(node=NodeId(node)), gave(node, out=node)))


def ids(*nodes: str) -> frozenset[NodeId]:
    return frozenset(map(NodeId, nodes))


def lost(step: str = STEP, *, orphaned: bool = False) -> StepFailed:
    return StepFailed(step=StepId(step), kind="lost", error="gone", orphaned=orphaned)


def raised(node: str, cause: str = "", step: str = STEP) -> tuple[Event, ...]:
    return (
        NodeFailed(node=NodeId(node), error="no", cause=cause),
        StepFailed(step=StepId(step), kind="component", node=NodeId(node), error="no", cause=cause),
    )


def on(plan: Plan, node: str, **terms: object) -> Plan:
    return replace(plan, terms={**plan.terms, NodeId(node): Terms(**terms)})  # type: ignore[arg-type]


def the_start(commands: Commands) -> StartStep:
    [start] = [command for command in commands if isinstance(command, StartStep)]
    return start


def decisions(commands: Commands) -> dict[str, str]:
    return {command.node: command.decision for command in commands if isinstance(command, NoteDecision)}


def test_finished_nodes_of_a_lost_step_become_inputs_of_what_is_run_of_it_again() -> None:
    _, commands = begun(CHAIN, started(STEP), *ran("a"), *runs("b"), lost())
    start = the_start(commands)
    assert (start.attempt, start.done, start.skip) == (2, ids("a"), ids())
    assert start.upstream == {NodeId("a"): {"out": text("a")}}
    assert decisions(commands) == {"b": "replay"}


def test_a_step_that_is_lost_between_its_last_node_and_its_end_is_over() -> None:
    _, commands = begun(CHAIN, started(STEP), *ran("a", "b", "c"), lost())
    assert commands == (FinishRun(status="succeeded"),)


def test_what_lives_only_inside_a_sandbox_is_made_again_for_those_who_need_it() -> None:
    made = NodeFinished(node=NodeId("a"), outputs={"out": LIVE})
    _, commands = begun(CHAIN, started(STEP), *runs("a"), made, *runs("b"), lost())
    assert (the_start(commands).done, dict(the_start(commands).upstream)) == (ids(), {})
    assert decisions(commands) == {"a": "rebuild", "b": "replay"}


def test_what_nobody_needs_any_more_is_not_made_again() -> None:
    made = NodeFinished(node=NodeId("a"), outputs={"out": LIVE})
    _, commands = begun(CHAIN, started(STEP), *runs("a"), made, *ran("b"), *runs("c"), lost())
    assert the_start(commands).done == {"a", "b"}
    assert the_start(commands).upstream == {NodeId("b"): {"out": text("b")}}


def test_a_branch_that_a_finished_node_closed_stays_closed() -> None:
    plan = wired("router.yes > yes", "router.no > no", steps=("router yes no",))
    step = "router yes no"
    _, commands = begun(plan, started(step), *runs("router"), closed("router", "no"), *ran("router")[1:], lost(step))
    assert the_start(commands).skip == {"no"}


def test_a_node_whose_effect_may_not_happen_twice_is_taken_as_done() -> None:
    _, commands = begun(on(CHAIN, "b", effect="skip"), started(STEP), *ran("a"), *runs("b"), lost())
    start = the_start(commands)
    assert (start.done, start.skip, dict(start.upstream)) == (ids("a"), ids("b"), {})
    assert decisions(commands) == {"b": "skip"}


def asked(*, effect: Effect = "ask") -> tuple[State, Commands]:
    return begun(on(CHAIN, "b", effect=effect), started(STEP), *ran("a"), *runs("b"), lost())


def test_a_person_is_asked_about_a_node_that_asks_for_it() -> None:
    _, commands = asked()
    [pause] = [command for command in commands if isinstance(command, PauseNode)]
    assert (pause.node, pause.request["allowed_decisions"]) == ("b", ["replay", "skip", "fail"])
    assert decisions(commands) == {"b": "ask"}
    assert commands[-1] == PauseRun()


@pytest.mark.parametrize(("action", "skip"), [("replay", ids()), ("skip", ids("b"))])
def test_the_answer_says_how_the_step_goes_on(action: str, skip: frozenset[NodeId]) -> None:
    state, commands = asked()
    request = next(command.request for command in commands if isinstance(command, PauseNode))
    answer = RunResumed(node=NodeId("b"), request_id=request["request_id"], decision={"action_id": action})
    _, commands = after(state, answer, RunStarted(engine="engine-2"))
    assert (the_start(commands).done, the_start(commands).skip) == (ids("a"), skip)


def test_the_answer_may_be_to_fail() -> None:
    state, commands = asked()
    request = next(command.request for command in commands if isinstance(command, PauseNode))
    answer = RunResumed(node=NodeId("b"), request_id=request["request_id"], decision={"action_id": "fail"})
    state, commands = after(state, answer)
    assert state.verdict is not None
    assert (state.verdict.status, state.verdict.kind) == ("failed", "lost")


def test_a_providers_trouble_is_tried_again_after_a_pause_that_grows() -> None:
    events: list[Event] = [started(STEP), *ran("a"), *runs("b"), *raised("b", "rate_limit")]
    state, commands = begun(CHAIN, *events)
    first = the_start(commands)
    _, commands = after(state, started(STEP, 2), *runs("b"), *raised("b", "server_error"))
    second = the_start(commands)
    assert (first.attempt, second.attempt, second.done) == (2, 3, ids("a"))
    assert 0.5 <= first.after_s <= 1.0 <= second.after_s <= 2.0


def test_the_pause_grows_also_where_no_single_node_is_to_blame() -> None:
    state, commands = begun(CHAIN, started(STEP), *ran("a"), *runs("b"), lost())
    first = the_start(commands)
    _, commands = after(state, started(STEP, 2), *runs("b"), lost())
    second = the_start(commands)
    assert 0.05 <= first.after_s <= 0.1 <= second.after_s <= 0.2


def test_a_components_own_mistake_is_not_tried_again() -> None:
    _, commands = begun(CHAIN, started(STEP), *runs("a"), *raised("a"))
    assert isinstance(commands[-1], FinishRun)


def test_a_components_own_mistake_is_tried_again_where_its_terms_say_so() -> None:
    plan = on(CHAIN, "a", retry_on=frozenset({"error"}), attempts=2, backoff_s=0.0)
    state, commands = begun(plan, started(STEP), *runs("a"), *raised("a"))
    assert the_start(commands).attempt == 2
    _, commands = after(state, started(STEP, 2), *runs("a"), *raised("a"))
    assert isinstance(commands[-1], FinishRun)


def test_attempts_are_counted_by_node() -> None:
    plan = replace(CHAIN, usual=Terms(attempts=2))
    state, _ = begun(plan, started(STEP), *runs("a"), *raised("a", "timeout"))
    state, commands = after(state, started(STEP, 2), *ran("a"), *runs("b"), *raised("b", "timeout"))
    assert the_start(commands).attempt == 3
    _, commands = after(state, started(STEP, 3), *runs("b"), *raised("b", "timeout"))
    assert isinstance(commands[-1], FinishRun)


def test_a_node_whose_effect_may_not_happen_twice_is_not_tried_again_when_it_raised() -> None:
    _, commands = begun(on(CHAIN, "a", effect="skip"), started(STEP), *runs("a"), *raised("a", "timeout"))
    assert isinstance(commands[-1], FinishRun)


def test_a_run_that_must_not_be_tried_again_fails_when_it_is_lost() -> None:
    _, commands = begun(on(CHAIN, "a", attempts=1), started(STEP), *runs("a"), lost())
    assert isinstance(commands[-1], FinishRun)
    assert commands[-1].kind == "lost"


def test_the_death_of_an_engine_counts_against_no_node() -> None:
    state, commands = begun(replace(CHAIN, usual=Terms(attempts=2)), started(STEP), *runs("a"))
    for attempt in range(2, 6):
        state, commands = after(state, lost(orphaned=True), started(STEP, attempt), *runs("a"))
        assert commands == ()
    _, commands = after(state, lost(orphaned=True))
    assert (the_start(commands).attempt, the_start(commands).after_s) == (6, 0.0)


def looped() -> Plan:
    edge = Edge(id="feedback", source=NodeId("body"), output="out", target=NodeId("loop"), field="item", feedback=True)
    plan = wired("first.out > loop", "loop.item > body", "loop.done > end", steps=("first loop body end",))
    return Plan(flow_digest="test", fusion="auto", steps=plan.steps, edges=(*plan.edges, edge))


LOOP_STEP = "first loop body end"


def test_a_loop_runs_again_with_its_body() -> None:
    events = (started(LOOP_STEP), *ran("first"), *runs("loop"), *ran("body", "body"), *runs("body"), lost(LOOP_STEP))
    _, commands = begun(looped(), *events)
    assert the_start(commands).done == {"first"}
    assert decisions(commands) == {"loop": "replay", "body": "replay"}


def test_a_finished_loop_is_done_with_its_body() -> None:
    events = (started(LOOP_STEP), *ran("first"), *runs("loop"), *ran("body"), *ran("loop")[1:], lost(LOOP_STEP))
    _, commands = begun(looped(), *events)
    assert the_start(commands).done == {"first", "loop", "body"}


def test_a_person_is_asked_before_a_loop_repeats_an_effect() -> None:
    events = (started(LOOP_STEP), *ran("first"), *runs("loop"), *ran("body"), lost(LOOP_STEP))
    _, commands = begun(on(looped(), "body", effect="skip"), *events)
    assert decisions(commands) == {"loop": "replay", "body": "ask"}
    assert commands[-1] == PauseRun()


def test_a_loop_that_a_person_takes_as_done_is_so_with_its_body() -> None:
    events = (started(LOOP_STEP), *ran("first"), *runs("loop"), *ran("body"), lost(LOOP_STEP))
    state, commands = begun(on(looped(), "loop", effect="ask"), *events)
    request = next(command.request for command in commands if isinstance(command, PauseNode))
    answer = RunResumed(node=NodeId("loop"), request_id=request["request_id"], decision={"action_id": "skip"})
    _, commands = after(state, answer, RunStarted(engine="engine-2"))
    assert (the_start(commands).done, the_start(commands).skip) == (ids("first"), ids("loop", "body"))


def test_a_step_runs_up_to_a_node_that_waits_and_goes_on_from_there() -> None:
    plan = on(CHAIN, "b", wait_s=60.0)
    state, commands = begun(plan)
    assert (the_start(commands).later, the_start(commands).done) == (ids("b", "c"), ids())
    state, commands = after(state, started(STEP), *ran("a"), finished(STEP))
    assert commands == (PauseNode(node=NodeId("b"), wait_s=60.0), PauseRun())
    state, _ = after(state, NodePaused(node=NodeId("b"), until=99.0), RunResumed(node=NodeId("b")))
    _, commands = after(state, RunStarted(engine="engine-2"))
    assert (the_start(commands).later, the_start(commands).done) == (ids(), ids("a"))


def test_other_steps_go_on_while_one_waits() -> None:
    plan = on(wired("a.out > b", "c.out > d"), "a", wait_s=60.0)
    state, commands = begun(plan)
    assert PauseRun() not in commands
    assert the_start(commands).step == "c"
    state, commands = after(state, finished("c"))
    assert the_start(commands).step == "d"
    _, commands = after(state, finished("d"))
    assert commands == (PauseRun(),)


def unfed(plan: Plan, *fields: tuple[str, str]) -> State:
    """A run of a plan in whose flow these fields have no value but what a wire brings."""
    return State.start(plan, unfed=frozenset((NodeId(node), field) for node, field in fields))


BEGUN = RunStarted(engine="engine-1")


def test_a_run_ends_and_says_so_when_a_node_needs_the_value_of_one_that_was_passed_over() -> None:
    state = unfed(on(CHAIN, "b", effect="skip"), ("c", "in"))
    state, commands = after(state, BEGUN, started(STEP), *ran("a"), *runs("b"), lost())
    assert decisions(commands) == {"b": "skip"}
    end = commands[-1]
    assert isinstance(end, FinishRun)
    assert (end.status, end.kind, end.node) == ("failed", "skipped", "b")
    assert "`c` needs one at `in`" in end.error


@pytest.mark.parametrize("fields", [(("c", "other"),), (("b", "in"),), ()])
def test_what_can_do_without_it_runs_on(fields: tuple[tuple[str, str], ...]) -> None:
    state = unfed(on(CHAIN, "b", effect="skip"), *fields)
    _, commands = after(state, BEGUN, started(STEP), *ran("a"), *runs("b"), lost())
    assert the_start(commands).skip == {"b"}


def test_another_wire_at_the_same_field_is_enough() -> None:
    plan = on(wired("a.out > c", "b.out > c", steps=("a b c",)), "b", effect="skip")
    _, commands = after(unfed(plan, ("c", "in")), BEGUN, started(STEP), *ran("a"), *runs("b"), lost())
    assert (the_start(commands).done, the_start(commands).skip) == (ids("a"), ids("b"))


def test_a_node_on_a_closed_branch_needs_nothing() -> None:
    plan = on(wired("a.out > b", "b.out > c", "r.no > c", steps=("r", "a b c")), "b", effect="skip")
    state, _ = after(unfed(plan, ("c", "in")), BEGUN)
    state = replace(state, closed=state.wiring.set_of([NodeId("c")]))
    _, commands = after(state, closed("r", "no"), finished("r"), started(STEP), *ran("a"), *runs("b"), lost())
    assert not any(isinstance(one, FinishRun) and one.status == "failed" for one in commands)


def test_who_says_that_a_node_is_done_hears_what_needs_its_value() -> None:
    state = unfed(on(CHAIN, "b", effect="ask"), ("c", "in"))
    state, commands = after(state, BEGUN, started(STEP), *ran("a"), *runs("b"), lost())
    request = next(command.request for command in commands if isinstance(command, PauseNode))
    answer = RunResumed(node=NodeId("b"), request_id=request["request_id"], decision={"action_id": "skip"})
    state, _ = after(state, answer)
    assert state.verdict is not None
    assert (state.verdict.kind, state.verdict.node) == ("skipped", "b")

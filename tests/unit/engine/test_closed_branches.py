"""Routers: which nodes run once a node has closed one of its outputs. The rules are lfx's."""

from flowray.engine.commands import FinishRun, StartStep
from flowray.engine.events import NodeStarted
from flowray.flow.types import Edge, NodeId
from flowray.plan.types import Plan, Step, StepId
from tests.unit.engine.happenings import after, begun, closed, finished, gave, starts, text


def wired(*wires: str, steps: tuple[str, ...] = ()) -> Plan:
    """A plan from wires like "router.yes > a"; each node a step of its own unless `steps` puts some together ("a b").

    Nodes have to be named in topological order.
    """
    ends = [(left.split(".")[0], left.split(".")[1], right) for left, _, right in map(str.split, wires)]
    nodes = dict.fromkeys(node for source, _, target in ends for node in (source, target))
    grouped = {node: group for group in steps for node in group.split()}
    groups = dict.fromkeys(grouped.get(node, node) for node in nodes)
    needs = {
        group: dict.fromkeys(
            StepId(grouped.get(source, source))
            for source, _, target in ends
            if grouped.get(target, target) == group != grouped.get(source, source)
        )
        for group in groups
    }
    return Plan(
        flow_digest="test",
        fusion="auto",
        steps=tuple(
            Step(id=StepId(group), nodes=tuple(map(NodeId, group.split())), needs=tuple(needs[group]))
            for group in groups
        ),
        edges=tuple(
            Edge(id=wire, source=NodeId(source), output=output, target=NodeId(target), field="in")
            for wire, (source, output, target) in zip(wires, ends, strict=True)
        ),
    )


ROUTER = wired("router.yes > a", "router.no > b", "a.out > c")


def test_only_the_open_branch_runs() -> None:
    _, commands = begun(ROUTER, closed("router", "no"), finished("router"))
    assert starts(commands) == ["a"]


def test_a_closed_branch_closes_everything_behind_it() -> None:
    state, commands = begun(ROUTER, closed("router", "yes"), finished("router"))
    assert starts(commands) == ["b"]
    _, commands = after(state, finished("b"))
    assert commands == (FinishRun(status="succeeded"),)


def test_a_run_whose_branches_are_all_closed_succeeds() -> None:
    _, commands = begun(ROUTER, closed("router", "yes"), closed("router", "no"), finished("router"))
    assert commands == (FinishRun(status="succeeded"),)


def test_a_merge_of_two_branches_runs_with_the_open_one() -> None:
    plan = wired("router.yes > a", "router.no > b", "a.out > merge", "b.out > merge")
    state, _ = begun(plan, closed("router", "no", lasting=True), finished("router"))
    _, commands = after(state, gave("a", out="A"), finished("a"))
    assert commands == (StartStep(step=StepId("merge"), upstream={NodeId("a"): {"out": text("A")}}),)


def test_a_merge_of_several_closed_branches_with_an_open_one_runs() -> None:
    plan = wired("router.x > a", "router.y > a", "router.z > merge", "a.out > merge")
    _, commands = begun(plan, closed("router", "x"), closed("router", "y"), finished("router"))
    assert starts(commands) == ["merge"]


def test_a_node_behind_a_closed_branch_stays_closed_although_others_feed_it_too() -> None:
    plan = wired("router.yes > a", "other.out > c", "a.out > c")
    _, commands = begun(plan, closed("router", "yes"), finished("router"), finished("other"))
    assert commands == (FinishRun(status="succeeded"),)


def test_a_step_runs_without_those_of_its_nodes_that_are_closed() -> None:
    plan = wired("router.yes > a", "router.no > b", steps=("a b",))
    _, commands = begun(plan, closed("router", "yes"), finished("router"))
    assert commands == (StartStep(step=StepId("a b"), skip=frozenset({NodeId("a")})),)


def test_a_step_does_not_get_values_for_its_closed_nodes() -> None:
    plan = wired("router.yes > a", "other.out > a", "other.out > b", "router.no > b", steps=("a b",))
    state, _ = begun(plan, closed("router", "no"), gave("router", out="unused"), finished("router"))
    _, commands = after(state, gave("other", out="for a"), finished("other"))
    assert commands == (
        StartStep(
            step=StepId("a b"),
            skip=frozenset({NodeId("b")}),
            upstream={NodeId("other"): {"out": text("for a")}},
        ),
    )


def test_a_router_inside_a_step_closes_what_later_steps_hold() -> None:
    plan = wired("router.yes > a", "router.no > b", "a.out > c", steps=("router a b",))
    _, commands = begun(plan, closed("router", "yes"), finished("router a b"))
    assert commands == (FinishRun(status="succeeded"),)


def test_a_router_that_runs_again_decides_again() -> None:
    again = NodeStarted(node=NodeId("router"))
    _, commands = begun(ROUTER, closed("router", "yes"), again, closed("router", "no"), finished("router"))
    assert starts(commands) == ["a"]


def test_an_output_that_nothing_hangs_on_closes_nothing() -> None:
    _, commands = begun(ROUTER, closed("router", "maybe"), closed("nobody", "yes"), finished("router"))
    assert starts(commands) == ["a", "b"]


def test_a_closed_branch_in_a_loops_body_does_not_reach_through_the_feedback_wire() -> None:
    edge = Edge(id="feedback", source=NodeId("body"), output="out", target=NodeId("loop"), field="item", feedback=True)
    plan = wired("loop.item > body", "loop.done > end", steps=("loop body",))
    looped = Plan(flow_digest="test", fusion="auto", steps=plan.steps, edges=(*plan.edges, edge))
    _, commands = begun(looped, closed("body", "out"), finished("loop body"))
    assert starts(commands) == ["end"]

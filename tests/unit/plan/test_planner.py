"""What runs together, what runs apart, and why."""

from __future__ import annotations

from typing import Any

import pytest

from flowray.component.claims import claimed
from flowray.component.spec import ComponentSpec, Needs
from flowray.errors import FlowFormatError, PlanError
from flowray.flow.digest import digest
from flowray.flow.types import Flow, NodeId
from flowray.plan.planner import plan
from flowray.plan.types import Plan, Pool
from tests.unit.build import Raw, dag_of, field, flow_of, node, output


def parts(made: Plan) -> list[str]:
    """The steps, each as the names of its nodes."""
    return [" ".join(step.nodes) for step in made.steps]


def needing(node_id: str, **needs: Any) -> Raw:
    return node(node_id, metadata={"flowray": needs})


def tool(node_id: str = "tool") -> Raw:
    return node(node_id, outputs=(output("component_as_tool", "Tool"),), tool_mode=True)


def agent(node_id: str = "agent") -> Raw:
    return node(node_id, fields=(field("tools", "Tool", list=True), field("in", "Message")))


def test_cheap_neighbours_are_one_step() -> None:
    made = plan(dag_of(a="", b="a", c="a", d="b c"))

    assert parts(made) == ["a b c d"]
    assert made.steps[0].joined_because == ("cheap neighbours: a hop would cost more than it buys",)
    assert made.cuts == ()


def test_without_fusion_each_node_is_a_step() -> None:
    made = plan(dag_of(a="", b="a", c="a", d="b c"), fusion="none")

    assert parts(made) == ["a", "b", "c", "d"]
    assert [step.needs for step in made.steps] == [(), ("s1",), ("s1",), ("s2", "s3")]
    assert {cut.reason for cut in made.cuts} == {"without fusion, every node that can be parted is a step of its own"}
    assert len(made.cuts) == 4


def test_a_live_object_keeps_its_nodes_together() -> None:
    flow = flow_of(node("a"), tool(), agent(), wires=("a.out > agent.in", "tool.component_as_tool > agent.tools"))

    made = plan(flow, fusion="none")

    assert parts(made) == ["a", "tool agent"]
    assert made.steps[1].joined_because == ("`tool` hands `agent` a Tool, which cannot leave its sandbox",)


def test_a_value_of_no_known_type_keeps_its_nodes_together() -> None:
    flow = flow_of(node("a", outputs=({"name": "out", "types": []},)), node("b"), wires=("a.out > b.in",))

    made = plan(flow, fusion="none")

    assert parts(made) == ["a b"]
    assert made.steps[0].joined_because == ("`a` hands `b` a value of unknown type, which cannot leave its sandbox",)


def test_a_spec_knows_the_types_that_an_export_leaves_out() -> None:
    flow = flow_of(node("a", outputs=({"name": "out", "types": []},)), node("b"), wires=("a.out > b.in",))
    known = claimed(flow_of(node("a")).nodes[0])

    made = plan(flow, specs={known.digest: known}, fusion="none")

    assert parts(made) == ["a", "b"]


def test_nodes_between_nodes_that_stay_together_stay_with_them() -> None:
    llm = node("llm", outputs=(output("out", "Message"), output("model", "LanguageModel")))
    user = node("user", fields=(field("in", "Message", list=True), field("model", "LanguageModel")))
    flow = flow_of(
        llm, node("between"), user, wires=("llm.model > user.model", "llm.out > between.in", "between.out > user.in")
    )

    made = plan(flow, fusion="none")

    assert parts(made) == ["llm between user"]
    assert "parted, its nodes would wait for each other" in made.steps[0].joined_because


def loop_flow(**body: Any) -> Flow:
    """a -> source -> loop -> body -> back; `a` feeds the body too; the loop's result goes to `end`."""
    loop = node(
        "loop",
        fields=(field("data", "Message"),),
        outputs=(output("item", "Message", allows_loop=True), output("done", "Message")),
    )
    nodes = (node("a"), node("source"), loop, node("body", **body), node("side"), node("other"), node("end"))
    wires = ("a.out > source.in", "source.out > loop.data", "loop.item > body.in", "body.out >> loop.item")
    return flow_of(*nodes, wires=(*wires, "other.out > body.in", "body.out > side.in", "loop.done > end.in"))


def test_a_loop_stays_with_its_body_and_all_that_feeds_the_body() -> None:
    made = plan(loop_flow(), fusion="none")

    assert parts(made) == ["a", "source", "loop other body side", "end"]
    assert made.steps[2].joined_because == ("`loop` runs its body, and what feeds it, once per item",)


def test_what_feeds_both_the_body_and_the_loop_draws_in_what_lies_between() -> None:
    loop = node("loop", fields=(field("data", "Message"),), outputs=(output("item", "Message", allows_loop=True),))
    wires = ("a.out > b.in", "b.out > loop.data", "a.out > body.in", "loop.item > body.in", "body.out >> loop.item")

    made = plan(flow_of(node("a"), node("b"), loop, node("body"), wires=wires), fusion="none")

    assert parts(made) == ["a b loop body"]


def test_notify_and_listen_stay_with_what_runs_again() -> None:
    notify, listen = node("Notify-1", "Notify"), node("Listen-1", "Listen")
    flow = flow_of(
        node("a"), notify, listen, node("b"), node("c"), wires=("a.out > Notify-1.in", "Listen-1.out > b.in")
    )

    made = plan(flow, fusion="none")

    assert sorted(parts(made)) == ["a Notify-1 Listen-1 b", "c"]
    assert made.step_of["a"] == made.step_of["b"]  # type: ignore[index]  # a test's plain ids


def test_another_pool_is_a_cut() -> None:
    flow = flow_of(node("a"), needing("b", pool="gpu"), node("c"), wires=("a.out > b.in", "b.out > c.in"))

    made = plan(flow)

    assert parts(made) == ["a", "b", "c"]
    assert [step.pool for step in made.steps] == ["default", "gpu", "default"]
    assert made.cuts[0].reason == "`b` runs in pool `gpu`, `a` in pool `default`"


def test_more_memory_is_a_cut() -> None:
    flow = flow_of(node("a"), needing("b", memory_mib=4096), wires=("a.out > b.in",))

    made = plan(flow)

    assert parts(made) == ["a", "b"]
    assert made.steps[1].resources == Needs(memory_mib=4096)
    assert made.cuts[0].reason == "`b` needs 4096 MiB, `a` nothing special"


def test_neighbours_of_the_same_needs_share_a_step() -> None:
    gpu = {"gpu": 1, "pool": "gpu"}
    flow = flow_of(node("a"), needing("b", **gpu), needing("c", **gpu), wires=("a.out > b.in", "b.out > c.in"))

    assert parts(plan(flow)) == ["a", "b c"]


def test_what_asks_to_run_alone_does() -> None:
    flow = flow_of(node("a"), needing("b", alone=True), node("c"), wires=("a.out > b.in", "b.out > c.in"))

    made = plan(flow)

    assert parts(made) == ["a", "b", "c"]
    assert [cut.reason for cut in made.cuts] == [
        "`b` runs alone: it asks for that, or its results may be used again"
    ] * 2


def test_heavy_work_side_by_side_is_cut() -> None:
    wires = ("a.out > b.in", "a.out > c.in", "b.out > d.in", "d.out > e.in", "c.out > e.in")
    flow = flow_of(node("a"), needing("b", heavy=True), needing("c", heavy=True), node("d"), node("e"), wires=wires)

    made = plan(flow)

    assert parts(made) == ["a", "b d", "c", "e"]
    assert {cut.reason for cut in made.cuts if cut.target == "s2"} == {"`b` is heavy and runs beside `c`"}


def test_heavy_work_one_after_the_other_is_not_cut() -> None:
    flow = flow_of(needing("a", heavy=True), needing("b", heavy=True), node("c"), wires=("a.out > b.in",))

    assert parts(plan(flow)) == ["a b c"]


def test_fusing_never_holds_up_a_step() -> None:
    flow = flow_of(
        node("a"),
        needing("g", pool="gpu"),
        node("b"),
        node("c"),
        wires=("a.out > b.in", "g.out > c.in", "b.out > c.in"),
    )

    made = plan(flow)

    assert parts(made) == ["a b", "g", "c"]
    assert made.steps[-1].needs == ("s1", "s2")
    assert made.steps[0].needs == ()
    assert made.cuts[0].reason


def test_a_branch_that_leads_elsewhere_does_not_hold_up_a_step() -> None:
    flow = flow_of(node("a"), node("b"), needing("g", pool="gpu"), wires=("a.out > b.in", "a.out > g.in"))

    made = plan(flow)

    assert parts(made) == ["a", "b", "g"]
    assert made.by_id[made.step_of[NodeId("g")]].needs == ("s1",)
    assert made.cuts[0].reason == "what waits for `a` need not wait for `b`"


def test_a_nodes_own_needs_outdo_its_components() -> None:
    flow = flow_of(needing("a", gpu=1, pool="mine"))
    known = claimed(flow.nodes[0])
    spec = ComponentSpec(**{**vars(known), "needs": Needs(pool="theirs")})

    assert plan(flow, specs={known.digest: spec}).steps[0].pool == "mine"
    assert plan(flow_of(node("a")), specs={known.digest: spec}).steps[0].pool == "theirs"


POOLS = (Pool(name="small", memory_mib=1024), Pool(name="default", cpu=4, memory_mib=2048), Pool(name="gpu", gpu=1))


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ({}, "default"),
        ({"memory_mib": 4096}, "gpu"),
        ({"gpu": 0.5}, "gpu"),
        ({"pool": "small"}, "small"),
        ({"cpu": 8}, "small"),
    ],
)
def test_a_step_goes_to_a_pool_that_has_what_it_needs(needs: dict[str, Any], expected: str) -> None:
    assert plan(flow_of(needing("a", **needs)), pools=POOLS).steps[0].pool == expected


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ({"gpu": 2}, "`a` needs 2 GPU; no Runner of pool `small` or pool `default` or pool `gpu` has that."),
        ({"pool": "gpuu"}, "`a` asks for pool `gpuu`, which is not there. Did you mean `gpu`?"),
        ({"pool": "zebra"}, "which is not there. Known are small, default, gpu."),
        ({"pool": "small", "memory_mib": 2048}, "`a` needs 2048 MiB; no Runner of pool `small` has that."),
    ],
)
def test_needs_that_no_pool_meets_are_refused(needs: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError) as caught:
        plan(flow_of(needing("a", **needs)), pools=POOLS)

    assert said in caught.value.message


def test_nodes_that_stay_together_cannot_ask_for_two_pools() -> None:
    flow = flow_of(
        node("t", outputs=(output("o", "Tool"),), metadata={"flowray": {"pool": "x"}}),
        node("u", fields=(field("tools", "Tool"),), metadata={"flowray": {"pool": "y"}}),
        wires=("t.o > u.tools",),
    )

    with pytest.raises(PlanError, match="`t` asks for pool `x` and `u` asks for pool `y`, but they run in one sandbox"):
        plan(flow)


def test_needs_that_mean_nothing_are_refused() -> None:
    with pytest.raises(FlowFormatError, match="no need called `gpus`"):
        plan(flow_of(needing("a", gpus=1)))


def test_a_tool_that_nobody_uses_is_left_out() -> None:
    made = plan(flow_of(node("a"), tool(), wires=("a.out > tool.in",)))

    assert parts(made) == ["a"]
    assert made.edges == ()


def test_a_node_that_feeds_nobody_runs_all_the_same() -> None:
    assert plan(flow_of(node("a"), node("b"))).step_of.keys() == {"a", "b"}


def test_the_nodes_made_to_answer_are_the_outputs() -> None:
    flow = flow_of(
        node("a"), node("ChatOutput-1", "ChatOutput"), node("c"), wires=("a.out > ChatOutput-1.in", "a.out > c.in")
    )

    assert plan(flow).outputs == ("ChatOutput-1",)


def test_without_any_made_to_answer_the_last_ones_do() -> None:
    assert plan(dag_of(a="", b="a", c="a")).outputs == ("b", "c")


def test_a_plan_names_its_flow_version() -> None:
    flow = dag_of(a="", b="a")

    assert plan(flow).flow_digest == digest(flow)
    assert plan(flow) == plan(flow)


@pytest.mark.parametrize(
    ("flow", "said"),
    [
        (flow_of(), "The flow has no nodes"),
        (flow_of(node("a"), node("a")), "Several nodes have the id `a`"),
        (flow_of(node("a"), node("b"), wires=("a.out > b.in", "b.out > a.in")), "wait for each other"),
    ],
)
def test_what_cannot_be_planned_is_said(flow: Flow, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        plan(flow)


def test_a_dangling_wire_does_not_stop_the_planner() -> None:
    made = plan(flow_of(node("a"), wires=("a.out > gone.in",)))

    assert made.edges == ()

"""What holds for the plan of any flow."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flowray.flow.langflow import read
from flowray.flow.types import Flow
from flowray.plan.planner import plan
from flowray.plan.reach import before, reached
from flowray.plan.show import as_json, as_mermaid, as_table
from flowray.plan.types import Fusion, Plan
from tests.unit.build import document, field, node, output

NEEDS = st.sampled_from([{}, {}, {}, {"memory_mib": 1024}, {"pool": "gpu", "gpu": 1}, {"heavy": True}, {"alone": True}])


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    """Any flow without circles: some wires carry live objects, some nodes ask for something."""
    count = draw(st.integers(1, 9))
    nodes, wires = [], []
    for index in range(count):
        outputs = (output("out", "Message"), output("live", "Tool"))
        fields = (field("in", "Message", list=True), field("tools", "Tool", list=True))
        nodes.append(node(f"n{index}", outputs=outputs, fields=fields, metadata={"flowray": draw(NEEDS)}))
        for source in draw(st.sets(st.integers(0, index - 1), max_size=3)) if index else ():
            live = draw(st.integers(0, 4)) == 0
            wires.append(f"n{source}.live > n{index}.tools" if live else f"n{source}.out > n{index}.in")
    return read(document(*draw(st.permutations(nodes)), wires=tuple(wires)))


@given(flow=flows(), fusion=st.sampled_from(["auto", "none"]))
@settings(max_examples=80, deadline=None)
def test_any_plan_is_sound(flow: Flow, fusion: Fusion) -> None:
    made = plan(flow, fusion=fusion)

    each_node_runs_once(flow, made)
    every_value_is_there_in_time(made)
    live_objects_stay(flow, made)
    fusing_holds_nothing_up(flow, made)
    borders_have_reasons(made)
    assert as_table(made, flow)
    assert as_mermaid(made, flow)
    assert as_json(made)


def each_node_runs_once(flow: Flow, made: Plan) -> None:
    assert sorted(name for step in made.steps for name in step.nodes) == sorted(n.id for n in flow.nodes)


def every_value_is_there_in_time(made: Plan) -> None:
    place = {name: index for index, name in enumerate(name for step in made.steps for name in step.nodes)}
    position = {step.id: index for index, step in enumerate(made.steps)}
    for edge in made.edges:
        source, target = made.step_of[edge.source], made.step_of[edge.target]
        if source == target:
            assert place[edge.source] < place[edge.target]
        else:
            assert position[source] < position[target]
            assert source in made.by_id[target].needs


def live_objects_stay(flow: Flow, made: Plan) -> None:
    for edge in flow.edges:
        if edge.output == "live":
            assert made.step_of[edge.source] == made.step_of[edge.target]


def fusing_holds_nothing_up(flow: Flow, made: Plan) -> None:
    """Whoever waits for a step waits for each of its nodes, unless some of them cannot be parted."""
    if any(edge.output == "live" for edge in flow.edges):
        return
    for step in made.steps:
        waits_for = reached(before(flow.edges), step.nodes)
        assert all(waits_for.issuperset(made.by_id[source].nodes) for source in step.needs)


def borders_have_reasons(made: Plan) -> None:
    crossing = {edge.id for edge in made.edges if made.step_of[edge.source] != made.step_of[edge.target]}
    assert {cut.edge for cut in made.cuts} == crossing
    assert all(cut.reason for cut in made.cuts)
    assert all(step.joined_because for step in made.steps if len(step.nodes) > 1)

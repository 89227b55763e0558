"""The loops around each node, by any wires."""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import given
from hypothesis import strategies as st

from flowray.engine.wiring import Wiring
from flowray.flow.types import Edge, NodeId
from flowray.plan.types import Plan, Step, StepId

_NODES = 8
Wire = tuple[int, int]
"""From one node to another; one that leads back, or to where it began, is a feedback wire."""
WIRES = st.sets(st.tuples(st.integers(0, _NODES - 1), st.integers(0, _NODES - 1)))


@given(WIRES)
def test_a_node_is_part_of_a_loop_when_a_walk_from_the_loop_passes_it_and_leads_back(wires: Collection[Wire]) -> None:
    reached = {node: walked(node, wires) for node in range(_NODES)}
    back = [(source, loop) for source, loop in wires if source >= loop]

    around = Wiring(plan_of_wires(wires)).loops_around

    for node in range(_NODES):
        loops = {name(loop) for source, loop in back if node in reached[loop] and source in reached[node]}
        assert around.get(name(node), frozenset()) == loops


def walked(start: int, wires: Collection[Wire]) -> set[int]:
    """The node and all that hangs on it, without going back."""
    found = {start}
    for source, target in sorted(wires):
        if source in found and source < target:
            found.add(target)
    return found


def plan_of_wires(wires: Collection[Wire]) -> Plan:
    edges = tuple(
        Edge(
            id=f"{source}>{target}",
            source=name(source),
            output="out",
            target=name(target),
            field="in",
            feedback=source >= target,
        )
        for source, target in wires
    )
    step = Step(id=StepId("s"), nodes=tuple(map(name, range(_NODES))), needs=())
    return Plan(flow_digest="test", fusion="auto", steps=(step,), edges=edges)


def name(node: int) -> NodeId:
    return NodeId(f"n{node}")

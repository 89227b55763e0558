"""What a plan says about order, turned round."""

from __future__ import annotations

from itertools import pairwise

from flowray.engine.wiring import Wiring
from flowray.flow.types import Edge, NodeId
from flowray.plan.types import Plan, Step, StepId


class Counted(dict[NodeId, int]):
    """Counts how often something is looked up in it."""

    looked_up = 0

    def __getitem__(self, node: NodeId) -> int:
        self.looked_up += 1
        return super().__getitem__(node)


def a_loop(*, body: int) -> Plan:
    """A loop with a row of nodes as its body, each of which also leads back to it."""
    row = [NodeId("loop"), *(NodeId(f"b{at}") for at in range(body))]
    ahead = [
        Edge(id=f"{target} next", source=source, output="out", target=target, field="in")
        for source, target in pairwise(row)
    ]
    back = [
        Edge(id=f"{node} back", source=node, output="out", target=row[0], field="item", feedback=True)
        for node in row[1:]
    ]
    step = Step(id=StepId("s"), nodes=tuple(row), needs=())
    return Plan(flow_digest="test", fusion="auto", steps=(step,), edges=(*ahead, *back))


def test_the_circle_of_a_loop_is_found_in_one_look_at_each_node_however_many_wires_lead_back() -> None:
    wiring = Wiring(a_loop(body=30))
    reach = wiring.__dict__["_reach"] = Counted(wiring._reach)

    assert set(wiring.loops_around.values()) == {frozenset({"loop"})}

    assert len(wiring.loops_around) == 31
    assert reach.looked_up <= 32

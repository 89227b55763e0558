"""The plan of a large flow."""

from __future__ import annotations

from typing import Any

from flowray.flow.langflow import read
from flowray.flow.types import Flow
from flowray.plan.planner import plan
from tests.unit.build import document, node


def large(count: int, **needs: Any) -> Flow:
    """A flow of many nodes, three wires into each."""
    doc = document(*(node(f"n{index}", metadata={"flowray": needs}) for index in range(count)))
    doc["data"]["edges"] = [
        {
            "source": f"n{source}",
            "target": f"n{index}",
            "data": {
                "sourceHandle": {"id": f"n{source}", "name": "out", "output_types": ["Message"], "dataType": "X"},
                "targetHandle": {"id": f"n{index}", "fieldName": "in", "inputTypes": ["Message"], "type": "str"},
            },
        }
        for index in range(1, count)
        for source in {index * 7 % index, index * 13 % index, index - 1}
    ]
    return read(doc, max_nodes=count)


def test_as_many_nodes_as_a_flow_may_have_are_planned() -> None:
    made = plan(large(2_000, heavy=True))
    assert sum(len(step.nodes) for step in made.steps) == 2_000

"""What a node, its component's author and its flow say about retries, effects and limits, and whose word counts."""

from __future__ import annotations

from typing import Any

import pytest

from flowray.component.check import check
from flowray.component.terms import Terms
from flowray.errors import FlowFormatError
from flowray.flow.digest import digest
from flowray.flow.langflow import read
from flowray.flow.types import Flow, NodeId
from flowray.plan.planner import plan
from tests.unit.build import node

A, B = NodeId("a"), NodeId("b")


def flow_with(terms: Any = None, **of_a: Any) -> Flow:
    """Two nodes; the flow sets `terms` for both, the first has its own."""
    nodes = [node("a", metadata={"flowray": of_a}), node("b")]
    return read({"name": "Test", "data": {"nodes": nodes, "edges": [], **({"flowray": terms} if terms else {})}})


def test_a_nodes_own_terms_win_over_its_flows() -> None:
    planned = plan(flow_with({"attempts": 5, "effect": "ask"}, effect="skip", wall_s=10))
    assert planned.terms_of(A) == Terms(attempts=5, effect="skip", wall_s=10.0)
    assert planned.terms_of(B) == Terms(attempts=5, effect="ask")


def test_nothing_said_means_the_usual_terms() -> None:
    planned = plan(flow_with())
    assert (planned.usual, planned.terms, planned.run_wall_s) == (Terms(), {}, None)


def test_a_flow_bounds_its_runs() -> None:
    assert plan(flow_with({"run_wall_s": 60})).run_wall_s == 60.0


def test_terms_stand_beside_needs() -> None:
    planned = plan(flow_with(None, memory_mib=512, retry_on=["error"]))
    assert planned.terms_of(A).retry_on == {"error"}
    assert planned.steps[0].resources.memory_mib == 512


def test_terms_of_a_flow_are_part_of_its_version() -> None:
    assert digest(flow_with()) != digest(flow_with({"attempts": 5}))


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"effect": "undo"}, "`metadata.flowray.effect`: expected `replay`, `skip` or `ask`, got text"),
        ({"attempts": 0}, "`metadata.flowray.attempts`: expected a whole number from 1 to 20"),
        ({"wall_s": 0}, "`metadata.flowray.wall_s`: expected more than 0 seconds"),
        ({"wait_s": -1}, "`metadata.flowray.wait_s`: expected a number of seconds"),
        ({"retry_on": ["rate_limits"]}, "`rate_limits`? Did you mean `rate_limit`?"),
    ],
)
def test_terms_that_mean_nothing_are_refused(terms: dict[str, Any], said: str) -> None:
    with pytest.raises(FlowFormatError) as caught:
        plan(flow_with(None, **terms))

    assert said in caught.value.message


def test_a_flows_terms_that_mean_nothing_are_found() -> None:
    [finding] = [found for found in check(flow_with({"atempts": 5})) if found.code == "bad_terms"]
    assert finding.severity == "error"
    assert "Did you mean `attempts`?" in finding.message

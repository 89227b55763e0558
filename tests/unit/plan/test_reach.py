"""Runs of a part of a flow."""

from __future__ import annotations

import pytest

from flowray.errors import InvalidRequestError
from flowray.flow.types import NodeId
from flowray.plan.reach import from_node, upstream_of
from tests.unit.build import dag_of

FLOW = dag_of(a="", b="a", c="b", side="", d="c side", apart="")


def test_a_run_up_to_a_node_needs_all_that_feeds_it() -> None:
    assert upstream_of(FLOW, NodeId("c")) == {"a", "b", "c"}


def test_a_run_from_a_node_needs_all_it_feeds_and_what_feeds_those() -> None:
    assert from_node(FLOW, NodeId("c")) == {"a", "b", "c", "side", "d"}


@pytest.mark.parametrize("ask", [upstream_of, from_node])
def test_a_node_that_is_not_there_is_named(ask: object) -> None:
    with pytest.raises(InvalidRequestError, match=r"no node `apar`\. Did you mean `apart`\?"):
        ask(FLOW, NodeId("apar"))  # type: ignore[operator]  # either of the two

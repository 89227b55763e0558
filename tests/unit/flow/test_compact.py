from __future__ import annotations

import pytest

from flowray.errors import FlowTooLargeError
from flowray.flow.compact import refuse_too_large


def text_of(count: int) -> str:
    nodes = "\n\n".join(f"  N{number}: ChatInput" for number in range(count))
    return f"name: Many\n\nnodes:\n{nodes}\n\nedges:\n  N0.message -> N1.input_value\n\nconfig:\n  N0.a: 1\n"


def test_as_many_nodes_as_a_flow_may_have_are_let_through() -> None:
    refuse_too_large(text_of(2_000))


def test_more_nodes_are_refused_as_those_of_any_flow() -> None:
    with pytest.raises(FlowTooLargeError, match="The flow has 2,001 nodes; at most 2,000 are allowed"):
        refuse_too_large(text_of(2_001))

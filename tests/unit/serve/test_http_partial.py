"""Parts of a flow."""

from __future__ import annotations

import pytest

from flowray.flow.types import NodeId
from flowray_serve.partial import UnknownNodeError, entry, part
from tests.unit.serve.flows import flow

CHAIN = flow("a", "b", "c", "x", wires=[("a", "b"), ("b", "c"), ("x", "c")])


def nodes(*names: str) -> frozenset[NodeId]:
    return frozenset(NodeId(name) for name in names)


def test_without_bounds_all_of_it_runs() -> None:
    assert part(CHAIN, start=None, stop=None) is None


def test_stop_keeps_the_node_and_what_it_needs() -> None:
    assert part(CHAIN, start=None, stop="b") == nodes("a", "b")


def test_start_keeps_what_hangs_on_the_node_and_what_that_needs() -> None:
    assert part(CHAIN, start="b", stop=None) == nodes("a", "b", "c", "x")


def test_both_keep_what_both_keep() -> None:
    assert part(CHAIN, start="x", stop="x") == nodes("x")


def test_a_circle_ends() -> None:
    circle = flow("a", "b", wires=[("a", "b"), ("b", "a")])
    assert part(circle, start="a", stop="b") == nodes("a", "b")


def test_a_node_that_is_not_there_is_named() -> None:
    with pytest.raises(UnknownNodeError, match="`stop_component_id`: the flow has no node `zzz`"):
        part(CHAIN, start=None, stop="zzz")


@pytest.mark.parametrize(
    ("drawn", "begins_at"),
    [
        (["Prompt-1", "ChatInput-2", "ChatInput-1"], "ChatInput-2"),
        (["ChatInput-1", "Webhook-1"], "Webhook-1"),
        (["TextInput-1", "ChatOutput-1"], None),
    ],
)
def test_a_call_begins_at_the_first_webhook_or_else_at_the_first_chat_input(
    drawn: list[str], begins_at: str | None
) -> None:
    assert entry(flow(*drawn)) == begins_at

"""A part of a flow to run: up to a node, or from a node on."""

from __future__ import annotations

from flowray.errors import InvalidRequestError
from flowray.flow.types import Flow, NodeId
from flowray.plan.reach import after, before, reached

_ENTRIES = ("webhook", "chat")


class UnknownNodeError(InvalidRequestError):
    """The request names a node that the flow does not have."""

    code = "unknown_node"


def part(flow: Flow, *, start: str | None, stop: str | None) -> frozenset[NodeId] | None:
    """The nodes to run; None for all of them.

    `stop` keeps the node and what it needs. `start` keeps the node, what hangs on it, and what those need.
    """
    if start is None and stop is None:
        return None
    for name, field in ((start, "start_component_id"), (stop, "stop_component_id")):
        if name is not None and name not in flow.by_id:
            raise UnknownNodeError(f"`{field}`: the flow has no node `{name[:80]}`.")
    feeds = before(flow.edges)
    kept = frozenset(flow.by_id)
    if stop is not None:
        kept &= reached(feeds, [NodeId(stop)])
    if start is not None:
        kept &= reached(feeds, reached(after(flow.edges), [NodeId(start)]))
    return kept


def entry(flow: Flow) -> NodeId | None:
    """The node that a call of the flow begins at, by Langflow's rule: its first webhook, else its first chat input."""
    inputs = [node.id for node in flow.nodes if node.is_input]
    return next((node for kind in _ENTRIES for node in inputs if kind in node.lower()), None)

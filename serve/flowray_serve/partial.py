"""A part of a flow to run: up to a node, or from a node on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flowray.errors import InvalidRequestError
from flowray.flow.types import Flow, NodeId

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
    before, after = _neighbours(flow)
    kept = set(flow.by_id)
    if stop is not None:
        kept &= _reachable([NodeId(stop)], before)
    if start is not None:
        kept &= _reachable(_reachable([NodeId(start)], after), before)
    return frozenset(kept)


def entry(flow: Flow) -> NodeId | None:
    """The node that a call of the flow begins at, by Langflow's rule: its first webhook, else its first chat input."""
    inputs = [node.id for node in flow.nodes if node.is_input]
    return next((node for kind in _ENTRIES for node in inputs if kind in node.lower()), None)


def _neighbours(flow: Flow) -> tuple[Mapping[NodeId, list[NodeId]], Mapping[NodeId, list[NodeId]]]:
    before: dict[NodeId, list[NodeId]] = {}
    after: dict[NodeId, list[NodeId]] = {}
    for edge in flow.edges:
        before.setdefault(edge.target, []).append(edge.source)
        after.setdefault(edge.source, []).append(edge.target)
    return before, after


def _reachable(seeds: Iterable[NodeId], neighbours: Mapping[NodeId, list[NodeId]]) -> set[NodeId]:
    seen: set[NodeId] = set()
    waiting = list(seeds)
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting.extend(neighbours.get(node, ()))
    return seen

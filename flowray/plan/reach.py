"""What lies before and behind a node: who feeds it, whom it feeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping

from flowray.errors import InvalidRequestError
from flowray.flow.nearest import meant
from flowray.flow.shape import clipped
from flowray.flow.types import Edge, Flow, NodeId

Neighbours = Mapping[NodeId, list[NodeId]]


def upstream_of(flow: Flow, node: NodeId) -> frozenset[NodeId]:
    """Return the node and all that feeds it: what a run up to this node needs (`only_nodes` of a RunRequest)."""
    _known(flow, node)
    return reached(before(flow.edges), [node])


def from_node(flow: Flow, node: NodeId) -> frozenset[NodeId]:
    """Return what a run from this node on needs: all it feeds, and all that feeds those."""
    _known(flow, node)
    return reached(before(flow.edges), reached(after(flow.edges), [node]))


def before(edges: Iterable[Edge]) -> Neighbours:
    """Return each node's direct sources."""
    neighbours = defaultdict(list)
    for edge in edges:
        neighbours[edge.target].append(edge.source)
    return neighbours


def after(edges: Iterable[Edge]) -> Neighbours:
    """Return each node's direct targets."""
    neighbours = defaultdict(list)
    for edge in edges:
        neighbours[edge.source].append(edge.target)
    return neighbours


def reached(
    neighbours: Neighbours,
    starts: Iterable[NodeId],
    *,
    not_into: Container[NodeId] = (),
) -> frozenset[NodeId]:
    """Return the starts and all nodes found from them, without those that are not to be entered."""
    found = set(starts)
    waiting = list(found)
    while waiting:
        for neighbour in neighbours.get(waiting.pop(), ()):
            if neighbour not in found and neighbour not in not_into:
                found.add(neighbour)
                waiting.append(neighbour)
    return frozenset(found)


def _known(flow: Flow, node: NodeId) -> None:
    if node not in flow.by_id:
        raise InvalidRequestError(f"The flow has no node `{clipped(node)}`.{meant(node, flow.by_id)}")

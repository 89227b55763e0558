"""What lies before and behind a node: who feeds it, whom it feeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping

from flowray.flow.types import Edge, NodeId

Neighbours = Mapping[NodeId, list[NodeId]]


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

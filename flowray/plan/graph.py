"""Graph questions the planner asks; the only module that knows networkx."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

import networkx as nx  # type: ignore[import-untyped]  # it ships no types

Item = TypeVar("Item", bound=Hashable)
Arc = tuple[Item, Item]


def circles(items: Iterable[Item], arcs: Iterable[Arc[Item]]) -> list[frozenset[Item]]:
    """Return the sets of items that lead back to themselves."""
    graph = _directed(items, arcs)
    found = nx.strongly_connected_components(graph)
    return [frozenset(each) for each in found if len(each) > 1 or any(graph.has_edge(item, item) for item in each)]


def ordered(items: Sequence[Item], arcs: Iterable[Arc[Item]]) -> list[Item]:
    """Return the items so that each arc leads forward; where that leaves a choice, as they were given."""
    places = {item: place for place, item in enumerate(items)}
    return list(nx.lexicographical_topological_sort(_directed(items, arcs), key=places.__getitem__))


def joined(items: Iterable[Item], ties: Iterable[Sequence[Item]]) -> list[frozenset[Item]]:
    """Return the sets of items that ties hold together, in the order of their first items."""
    graph = nx.Graph()
    graph.add_nodes_from(items)
    for tie in ties:
        nx.add_path(graph, tie)
    return [frozenset(each) for each in nx.connected_components(graph)]


def closed(parts: Sequence[frozenset[Item]], arcs: Iterable[Arc[Item]]) -> list[frozenset[int]]:
    """Return which parts (by index) must become one, so that no part waits for itself by way of another."""
    part_of = {item: index for index, part in enumerate(parts) for item in part}
    between = ((part_of[source], part_of[target]) for source, target in arcs)
    return [frozenset(each) for each in nx.strongly_connected_components(_directed(range(len(parts)), between))]


def _directed(items: Iterable[Item], arcs: Iterable[Arc[Item]]) -> nx.DiGraph[Item]:
    graph: nx.DiGraph[Item] = nx.DiGraph()
    graph.add_nodes_from(items)
    graph.add_edges_from(arcs)
    return graph

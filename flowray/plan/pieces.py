"""The smallest parts a plan may have: nodes that cannot be parted, so that no part waits for itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flowray.flow.types import Edge, NodeId
from flowray.plan import graph
from flowray.plan.bonds import Bond


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """Nodes that share a sandbox whatever the fusion, in topological order.

    `before` are the pieces (by index) it reads from; `reasons` say what holds it together.
    """

    nodes: tuple[NodeId, ...]
    before: tuple[int, ...]
    reasons: tuple[str, ...] = ()


def pieces_of(order: Sequence[NodeId], edges: Sequence[Edge], bonds: Sequence[Bond]) -> list[Piece]:
    """Return the pieces in topological order; `order` is that of the nodes."""
    rank = {node: index for index, node in enumerate(order)}
    arcs = [(edge.source, edge.target) for edge in edges]
    parts = graph.joined(order, (bond.nodes for bond in bonds))
    reasons = _reasons(parts, bonds)
    wholes: list[tuple[list[NodeId], list[str]]] = []
    for each in graph.closed(parts, arcs):
        nodes = sorted((node for index in each for node in parts[index]), key=rank.__getitem__)
        why = [reason for index in sorted(each) for reason in reasons[index]]
        if len(each) > 1:
            why.append("parted, its nodes would wait for each other")
        wholes.append((nodes, why))
    return _sorted(wholes, arcs, rank)


def _reasons(parts: Sequence[frozenset[NodeId]], bonds: Sequence[Bond]) -> list[list[str]]:
    part_of = {node: index for index, part in enumerate(parts) for node in part}
    reasons: list[list[str]] = [[] for _ in parts]
    for bond in bonds:
        reasons[part_of[bond.nodes[0]]].append(bond.reason)
    return reasons


def _sorted(
    wholes: Sequence[tuple[list[NodeId], list[str]]], arcs: Sequence[tuple[NodeId, NodeId]], rank: Mapping[NodeId, int]
) -> list[Piece]:
    given = sorted(range(len(wholes)), key=lambda index: rank[wholes[index][0][0]])
    whole_of = {node: index for index in given for node in wholes[index][0]}
    between = {(whole_of[source], whole_of[target]) for source, target in arcs}
    between = {(source, target) for source, target in between if source != target}
    place = {whole: index for index, whole in enumerate(graph.ordered(given, between))}
    before: dict[int, list[int]] = {}
    for source, target in between:
        before.setdefault(target, []).append(place[source])
    return [
        Piece(
            nodes=tuple(wholes[whole][0]), before=tuple(sorted(before.get(whole, ()))), reasons=tuple(wholes[whole][1])
        )
        for whole in place
    ]

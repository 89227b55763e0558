"""The content hash that names a flow version: same meaning, same digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import orjson

from flowray.flow.hosts import own_words
from flowray.flow.types import Edge, Flow, Json, Node, NodeId

# What Langflow's editor writes into a component for itself: none of it changes a run.
CANVAS = frozenset(
    {"last_updated", "lf_version", "pinned", "minimized", "score", "priority", "category", "key", "full_path", "error"}
)


def digest(flow: Flow) -> str:
    """Return the SHA-256 (hex) of what a flow does.

    Each value, source and wire counts, the order of the wires into one field, and the terms that the flow sets for its
    nodes. Places on the canvas, the view, notes, time stamps, names and the order in which nodes stand in the document
    do not.
    """
    content = hashlib.sha256()
    nodes, edges = sorted(map(_node_bytes, flow.nodes)), sorted(map(_edge_bytes, flow.edges))
    for part in (*nodes, b"", *edges, *_order_bytes(flow), *_own_bytes(flow)):
        content.update(len(part).to_bytes(8, "big"))
        content.update(part)
    return content.hexdigest()


def meaning_of_node(node: Node) -> dict[str, Json]:
    """Return what of a node's body counts, beside its id and its component."""
    return {key: value for key, value in node.raw["data"]["node"].items() if key not in CANVAS}


def meaning_of_edge(edge: Edge) -> tuple[Json, ...]:
    """Return what of a wire counts."""
    return (*edge.ends, edge.feedback, sorted(edge.source_types), sorted(edge.target_types))


def wires_by_field(flow: Flow) -> Mapping[tuple[NodeId, str], Sequence[Edge]]:
    """Return the wires into each field in their order: it is the order of the values that a list gets."""
    found: dict[tuple[NodeId, str], list[Edge]] = {}
    for edge in flow.edges:
        found.setdefault((edge.target, edge.field), []).append(edge)
    return found


def _node_bytes(node: Node) -> bytes:
    return orjson.dumps([node.id, node.component, meaning_of_node(node)], option=orjson.OPT_SORT_KEYS)


def _edge_bytes(edge: Edge) -> bytes:
    return orjson.dumps(meaning_of_edge(edge))


def _order_bytes(flow: Flow) -> Iterator[bytes]:
    """Yield the order of wires where it is not that of their names; in most flows it is, or a field has one wire."""
    orders = [[edge.ends for edge in wires] for wires in wires_by_field(flow).values()]
    unusual = sorted(order for order in orders if order != sorted(order))
    if unusual:
        yield orjson.dumps(unusual)


def _own_bytes(flow: Flow) -> Iterator[bytes]:
    """Yield what a flow tells FlowRay of itself as a whole; most flows tell nothing."""
    own = own_words(flow)
    if own is not None:
        yield orjson.dumps(own, option=orjson.OPT_SORT_KEYS)

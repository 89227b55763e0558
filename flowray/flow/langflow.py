"""Read and write Langflow's own documents: any export of 1.0 to 1.13, a whole flow or its bare nodes and edges."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace

from flowray.errors import FlowFormatError
from flowray.flow.document import Bounds, parse, refuse_too_many
from flowray.flow.export import imported
from flowray.flow.groups import flattened, has_groups
from flowray.flow.handles import edge_of, with_handles
from flowray.flow.nodes import is_note, node_of
from flowray.flow.shape import a_list, a_text, an_object
from flowray.flow.types import Edge, Flow, Group, Json, NodeId

_BOUNDS = Bounds()
Raw = dict[str, Json]


def read(
    source: str | bytes | bytearray | memoryview | Mapping[str, Json],
    *,
    max_bytes: int = _BOUNDS.size_bytes,
    max_nodes: int = _BOUNDS.nodes,
    max_depth: int = _BOUNDS.depth,
) -> Flow:
    """Return the flow of a Langflow export.

    Whatever `source` holds, the answer is a Flow, a `FlowFormatError` that names the place, or a `FlowTooLargeError`.
    A dangling wire or a missing value is no format error: `check` finds those.
    """
    bounds = replace(_BOUNDS, size_bytes=max_bytes, nodes=max_nodes, depth=max_depth)
    # Downloads of Langflow 1.9 and later have source as lines.
    return _flow_of(imported(parse(source, bounds)), bounds.nodes)


def read_own(document: Raw) -> Flow:
    """Return the flow of what `write` wrote: it was held to bounds before it was drawn."""
    return _flow_of(document, sys.maxsize)


def _flow_of(document: Raw, most_nodes: int) -> Flow:
    raw_nodes, raw_edges = _graph(document)
    refuse_too_many(len(raw_nodes), most_nodes)
    groups: tuple[Group, ...] = ()
    if has_groups(raw_nodes):
        raw_nodes, raw_edges, groups = flattened(raw_nodes, raw_edges, most_nodes)
    nodes = tuple(node_of(raw, index) for index, raw in enumerate(raw_nodes) if not is_note(raw))
    return Flow(
        name=a_text(document.get("name"), "The document", "name") or "Untitled flow",
        nodes=nodes,
        edges=_edges(raw_edges),
        id=a_text(document.get("id"), "The document", "id") or None,
        description=a_text(document.get("description"), "The document", "description"),
        endpoint_name=a_text(document.get("endpoint_name"), "The document", "endpoint_name") or None,
        notes=len(raw_nodes) - len(nodes),
        groups=groups,
        raw=document,
    )


def write(flow: Flow) -> Raw:
    """Return the flow as a Langflow document: unknown fields and notes as they were read, groups taken apart."""
    whole = "data" in flow.raw
    outside = dict(flow.raw)
    graph = dict(outside.get("data") or {}) if whole else outside
    notes = [raw for raw in graph.get("nodes") or [] if type(raw) is dict and is_note(raw)]
    graph["nodes"] = [*(node.raw for node in flow.nodes), *notes]
    graph["edges"] = [edge.raw for edge in flow.edges]
    if whole:
        outside["data"] = graph
    return outside


def canvas_of(document: Raw) -> Raw:
    """The object that has the nodes and edges: the document itself, or its `data`."""
    graph = document
    if "data" in document:
        graph = an_object(document["data"], "The document", "data")
    if "nodes" not in graph:
        raise FlowFormatError(_not_a_flow(document))
    return graph


def _graph(document: Raw) -> tuple[list[Raw], list[Raw]]:
    graph = canvas_of(document)
    raw_nodes = a_list(graph["nodes"], "The document", "nodes")
    nodes = [an_object(raw, f"Node {index}") for index, raw in enumerate(raw_nodes)]
    edges = [
        with_handles(an_object(raw, f"Edge {index}"), f"Edge {index}")
        for index, raw in enumerate(a_list(graph.get("edges"), "The document", "edges"))
    ]
    return nodes, edges


def _not_a_flow(document: Raw) -> str:
    flows = document.get("flows")
    if isinstance(flows, list):
        return f"This is a collection of {len(flows)} flows, not a flow. Give one of its `flows`."
    return (
        "This is not a Langflow flow: it has no `nodes`, neither at the top nor in `data`. "
        "Export the flow from Langflow, and give that file."
    )


def _edges(raws: list[Raw]) -> tuple[Edge, ...]:
    """Give every wire an id of its own; a wire drawn twice is one, as Langflow has it."""
    wires: dict[tuple[NodeId, str, NodeId, str], Edge] = {}
    names: set[str] = set()
    for index, raw in enumerate(raws):
        edge = edge_of(raw, f"Edge {index}")
        if edge.ends in wires:
            continue
        name = edge.id or f"{edge.source}.{edge.output}-{edge.target}.{edge.field}"
        if name in names:
            name = f"{name}#{index}"
        names.add(name)
        wires[edge.ends] = edge if name == edge.id else replace(edge, id=name)
    return tuple(wires.values())

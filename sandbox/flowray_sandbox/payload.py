"""The nodes and edges of a spec as lfx can run them: no notes, no groups, current types, code as one text."""

from __future__ import annotations

from typing import Any

from lfx.extension.migration import load_migration_table, migrate_flow_payload
from lfx.graph.graph.utils import process_flow
from lfx.utils.flow_code import normalize_code_for_import

from flowray_sandbox.spec import RunSpec

_old_types: set[str] = set()


def executable(spec: RunSpec) -> tuple[list[Any], list[Any]]:
    """What lfx does to a payload when it loads one, done only where there is something to do."""
    nodes, edges = _flat([node for node in spec.nodes if node.get("type") != "noteNode"], list(spec.edges))
    ids = set()
    for at, node in enumerate(nodes):
        template = node["data"]["node"]["template"]
        if isinstance((template.get("code") or {}).get("value"), list) or node["data"]["type"] in _legacy_types():
            nodes[at] = _current(node)
        if isinstance(stream := template.get("stream"), dict):
            # Langflow sets `stream` on every node that has it, with each request.
            stream["value"] = spec.stream
        ids.add(node["id"])
    return nodes, [edge for edge in edges if edge["source"] in ids and edge["target"] in ids]


def _flat(nodes: list[Any], edges: list[Any]) -> tuple[list[Any], list[Any]]:
    for node in nodes:
        if (node["data"].get("node") or {}).get("flow"):
            flat: Any = process_flow({"nodes": nodes, "edges": edges})  # type: ignore[no-untyped-call]
            return flat["nodes"], flat["edges"]
    return nodes, edges


def _current(node: Any) -> Any:
    (node,) = normalize_code_for_import({"nodes": [node], "edges": []})["nodes"]
    migrate_flow_payload({"nodes": [node], "edges": []})
    return node


def _legacy_types() -> set[str]:
    """The type names of old exports that lfx knows a current name for."""
    if not _old_types:
        table, _ = load_migration_table()
        _old_types.update(table.all_known_legacy_values() if table else ())
        _old_types.add("")
    return _old_types

"""A flow as a file to keep and to compare: without secrets, without noise, and with source as lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flowray.flow.types import Json

# They change from place to place and from view to view, and mean nothing to a run.
_VOLATILE = frozenset(
    {"updated_at", "created_at", "user_id", "folder_id", "access_type", "gradient", "version", "workspace_id"}
)
_VOLATILE_IN_NODES = frozenset({"positionAbsolute", "dragging", "selected"})


def exported(document: Mapping[str, Json]) -> dict[str, Json]:
    """A kept flow as Langflow's downloads have it. A secret's variable is named, its value is not there."""
    flow = {name: value for name, value in document.items() if name not in _VOLATILE}
    return {**flow, "data": _with_fields(flow.get("data"), _exported_field)}


def without_secrets(document: Mapping[str, Json]) -> dict[str, Json]:
    """The flow as it is, except for values of its secret fields."""
    return {**document, "data": _with_fields(document.get("data"), _without_secret, noise=frozenset())}


def imported(document: Mapping[str, Json]) -> dict[str, Json]:
    """A flow of a file, with its source as text again."""
    if "data" not in document:
        return dict(imported_canvas(document))
    return {**document, "data": imported_canvas(document["data"])}


def imported_canvas(canvas: Any) -> Any:
    """The nodes and edges of a file, with their source as text again; what is no canvas is left as it is."""
    return _with_fields(canvas, _imported_field, noise=frozenset())


def _with_fields(canvas: Json, change: Any, *, noise: frozenset[str] = _VOLATILE_IN_NODES) -> Json:
    if not isinstance(canvas, dict) or not isinstance(canvas.get("nodes"), list):
        return canvas
    return {**canvas, "nodes": [_node(node, change, noise) for node in canvas["nodes"]]}


def _node(node: Json, change: Any, noise: frozenset[str]) -> Json:
    if not isinstance(node, dict):
        return node
    node = {name: value for name, value in node.items() if name not in noise}
    body = node.get("data")
    inner = body.get("node") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(inner, dict):
        return node
    changed = dict(_changed(inner, change, noise))
    return {**node, "data": {**body, "node": changed}}


def _changed(inner: Mapping[str, Json], change: Any, noise: frozenset[str]) -> Iterator[tuple[str, Json]]:
    for name, value in inner.items():
        if name == "template" and isinstance(value, dict):
            yield name, {key: change(field) if isinstance(field, dict) else field for key, field in value.items()}
        elif name == "flow" and isinstance(value, dict):  # a group holds a canvas of its own
            yield name, {**value, "data": _with_fields(value.get("data"), change, noise=noise)}
        else:
            yield name, value


def _exported_field(field: Mapping[str, Json]) -> Mapping[str, Json]:
    field = _without_secret(field)
    if field.get("type") == "code" and isinstance(field.get("value"), str):
        return {**field, "value": field["value"].split("\n")}
    return field


def _without_secret(field: Mapping[str, Json]) -> Mapping[str, Json]:
    if field.get("password") and field.get("value") and not field.get("load_from_db"):
        return {**field, "value": None}
    return field


def _imported_field(field: Mapping[str, Json]) -> Mapping[str, Json]:
    lines = field.get("value")
    if field.get("type") == "code" and isinstance(lines, list) and all(isinstance(line, str) for line in lines):
        return {**field, "value": "\n".join(lines)}
    return field

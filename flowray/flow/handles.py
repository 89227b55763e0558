"""Where a wire is plugged in: objects in `edge.data`, or JSON text in which Langflow writes `œ` for quotes."""

from __future__ import annotations

import orjson

from flowray.errors import FlowFormatError
from flowray.flow.document import is_deeper
from flowray.flow.shape import a_name, a_text, an_object, misfit, place_text, some_texts
from flowray.flow.types import Edge, Json, NodeId

_QUOTE = "œ"
_GROUP = "GroupNode"
# What Langflow writes has two. As text it is no part of the document's depth, and as an object it becomes one.
_MOST_LEVELS = 32


def with_handles(raw: dict[str, Json], place: str) -> dict[str, Json]:
    """Return the edge with its handles as objects in `data`, their ids those of its ends; itself if it has them so."""
    source = a_name(raw.get("source"), place, "source")
    target = a_name(raw.get("target"), place, "target")
    data = raw.get("data")
    data = {} if data is None else an_object(data, place, "data")
    plugs = {
        "sourceHandle": _plugged(data.get("sourceHandle") or raw.get("sourceHandle"), source, place, "sourceHandle"),
        "targetHandle": _plugged(data.get("targetHandle") or raw.get("targetHandle"), target, place, "targetHandle"),
    }
    if all(data.get(name) is handle for name, handle in plugs.items()):
        return raw
    return {**raw, "data": {**data, **plugs}}


def _plugged(value: Json, node: str, *place: str) -> dict[str, Json]:
    handle = _handle(value, *place)
    # Langflow finds cycles by the ids inside the handles, so they have to agree with the edge's own.
    return handle if handle.get("id") == node else {**handle, "id": node}


def _handle(value: Json, *place: str) -> dict[str, Json]:
    if not isinstance(value, str):
        return an_object(value, *place)
    if not value.lstrip().startswith("{"):
        raise FlowFormatError(
            f"{place_text(*place)}: this is the handle of a flow made before Langflow 1.0. "
            "Open and save the flow in Langflow 1.x."
        )
    try:
        handle = orjson.loads(value.replace(_QUOTE, '"'))
    except orjson.JSONDecodeError:
        raise misfit("a handle", value, *place) from None
    if is_deeper(handle, _MOST_LEVELS):
        raise FlowFormatError(f"{place_text(*place)}: the handle is nested deeper than {_MOST_LEVELS} levels.")
    return an_object(handle, *place)


def edge_of(raw: dict[str, Json], place: str) -> Edge:
    """Return the edge of a raw one that `with_handles` has been through."""
    source, target = raw["data"]["sourceHandle"], raw["data"]["targetHandle"]
    feedback = "fieldName" not in target and "name" in target
    port = target.get("name") if feedback else target.get("fieldName")
    edge = Edge(
        id=a_text(raw.get("id"), place, "id"),
        source=NodeId(raw["source"]),
        output=output_name(source, place),
        target=NodeId(raw["target"]),
        field=a_name(port, place, "targetHandle", "fieldName"),
        source_types=_types(source, ("output_types", "baseClasses"), place, "sourceHandle"),
        target_types=_types(target, ("inputTypes", "output_types"), place, "targetHandle"),
        feedback=feedback,
        raw=raw,
    )
    a_text(target.get("type"), place, "targetHandle", "type")
    return edge


def output_name(handle: dict[str, Json], place: str) -> str:
    """Return the port a source handle names; a group's handle writes it behind the id of the node inside."""
    name = a_text(handle.get("name"), place, "sourceHandle", "name")
    return name.split("_", 1)[-1] if handle.get("dataType") == _GROUP else name


def _types(handle: dict[str, Json], keys: tuple[str, ...], *place: str) -> tuple[str, ...]:
    for key in keys:
        if types := some_texts(handle.get(key), *place, key):
            return types
    return ()

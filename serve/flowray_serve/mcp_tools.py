"""Flows as tools of the Model Context Protocol: their names, what they take, and what they give. As Langflow has it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from flowray.engine.outcome import Outcome, answering
from flowray.engine.ports import RunRequest
from flowray.flow.types import Flow, Json, Node
from flowray.stores.records import FlowRecord

_NAME_LENGTH: Final = 30
_SESSION: Final = {
    "type": "string",
    "description": "Optional session identifier used to persist conversation history across tool calls. "
    "Omit to start a new session.",
}
_TYPES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("int", "integer"), "integer"),
    **dict.fromkeys(("float", "number", "slider"), "number"),
    **dict.fromkeys(("bool", "boolean"), "boolean"),
    **dict.fromkeys(("dict", "NestedDict", "duration", "auth", "mcp", "data_display", "object"), "object"),
}
_LISTS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("sortableList", "table", "tools", "model"), "object"),
    "actionPicker": "string",
}


def tool_names(flows: Iterable[FlowRecord], *, by_action: bool) -> dict[str, FlowRecord]:
    """The tools' names with their flows; equal ones are numbered, always in the same way."""
    named: dict[str, FlowRecord] = {}
    for flow in sorted(flows, key=lambda one: one.id):
        action = flow.document.get("action_name") if by_action else None
        name = _plain(str(action or flow.name or ""))
        named[_unused(name, named)] = flow
    return named


def description(flow: FlowRecord, name: str, *, by_action: bool) -> str:
    """What a tool says it does."""
    text = flow.document.get("description")
    if by_action:
        return str(flow.document.get("action_description") or text or f"Tool generated from flow: {name}")
    return f"{flow.id}: {text}" if text else f"Tool generated from flow: {name}"


def input_schema(flow: Flow) -> dict[str, Any]:
    """What the flow takes: the fields of its inputs that are shown and not advanced, and a session."""
    properties: dict[str, Any] = {}
    required: list[str] = []
    for _, name, field in _exposed(flow):
        properties[name] = {**_type_of(field), "description": field.get("info") or f"Input for {name}"}
        if field.get("required") is True:
            required.append(name)
    properties.setdefault("session_id", _SESSION)
    return {"type": "object", "properties": properties, "required": sorted(set(required))}


def tweaks(flow: Flow, arguments: Mapping[str, Json]) -> dict[str, dict[str, Json]]:
    """The arguments as values of the nodes that take them; others are not for this flow."""
    found: dict[str, dict[str, Json]] = {}
    for node, name, _ in _exposed(flow):
        if name in arguments:
            found.setdefault(node.id, {})[name] = arguments[name]
    return found


def texts(request: RunRequest, outcome: Outcome) -> tuple[str, ...]:
    """All that the flow's outputs say, each once."""
    found = [text for node in answering(request.flow, output_type="chat") for text in _texts(outcome.results.get(node))]
    return tuple(dict.fromkeys(found))


def _texts(result: Json) -> Iterator[str]:
    if not isinstance(result, Mapping):
        return
    for message in result.get("messages") or ():
        if isinstance(message, Mapping) and message.get("message") is not None:
            yield str(message["message"])
    for value in (result.get("results") or {}).values():
        text = value.get("text") if isinstance(value, Mapping) else value
        if text is not None:
            yield str(text)


def _exposed(flow: Flow) -> Iterator[tuple[Node, str, Mapping[str, Any]]]:
    """A flow whose author has chosen the fields that callers may set exposes no others."""
    shown = [
        (node, name, field)
        for node in flow.nodes
        if node.is_input
        for name, field in _template(node).items()
        if isinstance(field, Mapping) and field.get("show") and not field.get("advanced")
    ]
    chosen = any(
        isinstance(field, Mapping) and field.get("api_editable") is True
        for node in flow.nodes
        if node.is_input
        for field in _template(node).values()
    )
    return (one for one in shown if not chosen or one[1] == "input_value" or one[2].get("api_editable") is True)


def _template(node: Node) -> Mapping[str, Any]:
    found = node.raw.get("data", {}).get("node", {}).get("template")
    return found if isinstance(found, Mapping) else {}


def _type_of(field: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(field.get("type", "str"))
    if kind in _LISTS:
        return {"type": "array", "items": {"type": _LISTS[kind]}}
    plain = _TYPES.get(kind, "string")
    if field.get("list") is True or field.get("is_list") is True:
        return {"type": "array", "items": {"type": plain}}
    return {"type": plain}


def _plain(name: str) -> str:
    """Small letters, digits and underscores."""
    bare = "".join(char for char in unicodedata.normalize("NFD", name) if unicodedata.category(char) != "Mn")
    words = re.sub(r"[-\s_]+", "_", re.sub(r"[^\w\s-]", "", bare)).strip("_").lower()
    return f"_{words}" if words[:1].isdigit() else words or "unnamed"


def _unused(name: str, taken: Mapping[str, FlowRecord]) -> str:
    candidate, number = name[:_NAME_LENGTH], 0
    while candidate in taken:
        number += 1
        suffix = f"_{number}"
        candidate = name[: _NAME_LENGTH - len(suffix)] + suffix
    return candidate

"""From a raw Langflow node to a Node: every field that matters is typed here, all others stay in `raw`."""

from __future__ import annotations

from collections.abc import Mapping

from flowray.errors import FlowTooLargeError
from flowray.flow.shape import a_list, a_name, a_text, an_object, clipped, misfit, place_text, some_texts
from flowray.flow.types import Field, Json, Node, NodeId, Output

Raw = dict[str, Json]
NOTE = "noteNode"
_INPUTS = frozenset({"ChatInput", "TextInput", "Webhook"})
_OUTPUTS = frozenset({"ChatOutput", "TextOutput", "DataOutput"})
# Each wire from a port is held to all of its types.
_MOST_TYPES = 100


def is_note(raw: Raw) -> bool:
    """Tell whether this is a sticky note: it never runs."""
    data = raw.get("data")
    return raw.get("type") == NOTE or (type(data) is dict and data.get("type") in ("note", NOTE))


def body_of(raw: Mapping[str, Json]) -> Raw:
    """Return what a raw node says of itself; nothing for a note that has anything else there."""
    data = raw.get("data")
    body = data.get("node") if type(data) is dict else None
    return body if type(body) is dict else {}


def node_of(raw: Raw, index: int) -> Node:
    """Return the node; what has the wrong type is refused with the node's id and the path."""
    node_id = a_name(raw.get("id"), f"Node {index}", "id")
    place = f"Node `{clipped(node_id)}`"
    data = an_object(raw.get("data"), place, "data")
    component = a_name(data.get("type"), place, "data", "type")
    body = an_object(data.get("node"), place, "data", "node")
    template = an_object(body.get("template"), place, "template")
    kinds = {component, node_id.split("-", 1)[0]}
    return Node(
        id=NodeId(node_id),
        component=component,
        display_name=a_text(body.get("display_name"), place, "display_name") or component,
        fields=fields_of(template, place),
        outputs=outputs_of(body.get("outputs"), place),
        base_classes=_given_types(body.get("base_classes"), place, "base_classes"),
        code=_code(template, place),
        frozen=bool(body.get("frozen")),
        tool_mode=bool(body.get("tool_mode")),
        is_input=bool(body.get("is_input")) or not kinds.isdisjoint(_INPUTS),
        is_output=bool(body.get("is_output")) or not kinds.isdisjoint(_OUTPUTS),
        raw=_complete(raw, data, body, template),
    )


def _complete(raw: Raw, data: Raw, body: Raw, template: Raw) -> Raw:
    """Give a node what lfx indexes without asking and old or hand-made exports leave out."""
    if "_type" in template and "outputs" in body and "id" in data:
        return raw
    body = {**body, "template": {"_type": "Component", **template}, "outputs": body.get("outputs") or []}
    return {**raw, "data": {"id": raw["id"], **data, "node": body}}


def with_template(raw: Mapping[str, Json], template: Mapping[str, Json]) -> Raw:
    """Return a raw node with another template."""
    data = raw["data"]
    return {**raw, "data": {**data, "node": {**data["node"], "template": template}}}


def fields_of(template: Raw, place: str) -> dict[str, Field]:
    """Return the typed fields of a template, its source left out."""
    return {
        name: field_of(name, value, place) for name, value in template.items() if type(value) is dict and name != "code"
    }


def field_of(name: str, raw: Raw, place: str) -> Field:
    """Return one entry of a template as a Field."""
    kind = raw.get("type")
    if kind.__class__ is not str:
        kind = a_text(kind, place, "template", name, "type") or "str"
    types = raw.get("input_types")
    return Field(
        name=name,
        type=kind,
        input_types=some_texts(types, place, "template", name, "input_types") if types else (),
        value=(raw.get("file_path") or raw.get("value")) if kind == "file" else raw.get("value"),
        required=bool(raw.get("required")),
        is_list=bool(raw.get("list") or raw.get("is_list")),
        load_from_db=bool(raw.get("load_from_db")),
        password=bool(raw.get("password")),
        tool_mode=bool(raw.get("tool_mode")),
        show=bool(raw.get("show", True)),
    )


def outputs_of(raws: Json, place: str) -> tuple[Output, ...]:
    """Return a component's outputs, typed."""
    outputs = []
    for index, value in enumerate(a_list(raws, place, "outputs")):
        raw = an_object(value, place, "outputs", index)
        output = Output(
            name=a_name(raw.get("name"), place, "outputs", index, "name"),
            types=_given_types(raw.get("types"), place, "outputs", index, "types"),
            method=a_text(raw.get("method"), place, "outputs", index, "method") or None,
            allows_loop=bool(raw.get("allows_loop")),
        )
        outputs.append(output)
    return tuple(outputs)


def _given_types(value: Json, *place: str | int) -> tuple[str, ...]:
    types = some_texts(value, *place)
    if len(types) > _MOST_TYPES:
        raise FlowTooLargeError(f"{place_text(*place)}: {len(types):,} types; at most {_MOST_TYPES} are allowed.")
    return types


def _code(template: Raw, place: str) -> str | None:
    """Only the field named `code` of type code is the component's source; a code *input* has another name."""
    field = template.get("code")
    if field is None:
        return None
    value = an_object(field, place, "template", "code").get("value")
    if value is None or type(value) is str:
        return value
    raise misfit("source text", value, place, "template", "code", "value")

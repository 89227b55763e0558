"""From the form of a flow back to Langflow's document, over what is there: places, secrets, and what editors note."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from flowray.errors import FlowFormatError
from flowray.flow.digest import CANVAS
from flowray.flow.form import ATTRIBUTES, Form, Raw, usual, usual_facts
from flowray.flow.hosts import KEY
from flowray.flow.nodes import body_of, is_note
from flowray.flow.types import Json

_NOTHING: Mapping[str, Json] = {"locked": False, "mcp_enabled": False, "is_component": False, "access_type": "PRIVATE"}
_APART = (420, 320)


@dataclass
class _Making:
    files: Mapping[str, str]
    unfilled: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Formed:
    """A document, and the fields whose secret is nowhere: `node.field`."""

    document: Raw
    unfilled: tuple[str, ...]


def formed(of: Form, onto: Mapping[str, Json] | None = None) -> Formed:
    """Return the document of a form. `onto` is what there is: what a form does not say stays as it is there."""
    making = _Making(of.files)
    there = (onto or {}).get("data") or {}
    said = {name: of.flow.get(name, _NOTHING.get(name)) for name in ATTRIBUTES}
    canvas = {name: value for name, value in there.items() if name not in ("nodes", "edges", KEY)}
    if KEY in of.flow:
        canvas[KEY] = of.flow[KEY]
    canvas |= _canvas(of.flow, there, making)
    document = {**said, "data": canvas}
    if document["id"] is None:
        del document["id"]
    return Formed(document=document, unfilled=tuple(making.unfilled))


def _canvas(said: Mapping[str, Any], there: Mapping[str, Any], making: _Making) -> Raw:
    raws = [raw for raw in there.get("nodes") or [] if isinstance(raw, dict)]
    known = {raw["id"]: raw for raw in raws if isinstance(raw.get("id"), str)}
    entries = _a_mapping(said.get("nodes") or {}, "nodes")
    nodes = {name: _node(name, entry, known.get(name), making) for name, entry in entries.items()}
    wires = [_ends(wire) for wire in said.get("wires") or []]
    _lay_out([node for name, node in nodes.items() if name not in known], nodes, wires)
    notes = [_note(name, text, known.get(name)) for name, text in (said.get("notes") or {}).items()]
    return {"nodes": [*nodes.values(), *notes], "edges": [_edge(wire, nodes) for wire in wires]}


def _node(name: str, entry: Json, known: Raw | None, making: _Making) -> Raw:
    entry = _a_mapping(entry, f"nodes.{name}")
    component = entry.get("component")
    if not isinstance(component, str):
        raise FlowFormatError(f"Node `{name[:80]}`: `component` must name its component.")
    before = body_of(known) if known else {}
    definition = _parsed(making.files, entry.get("definition"), name)
    without = definition.pop("without_value", [])
    fields = definition.pop("template", {})
    template = {key: dict(one) if isinstance(one, dict) else one for key, one in fields.items()}
    _fill(template, entry, before.get("template") or {}, making, place=(name, without))
    inner = definition.get("flow")
    body = {**{key: value for key, value in before.items() if key in CANVAS}, **definition, "template": template}
    body |= {"display_name": entry["name"]} if "name" in entry else {}
    body |= {switch: True for switch in ("frozen", "tool_mode") if entry.get(switch) is True}
    if isinstance(inner, dict):
        below = (before.get("flow") or {}).get("data") or {}
        kept = {key: value for key, value in below.items() if key not in ("nodes", "edges")}
        body["flow"] = {**inner, "data": {**kept, **_canvas(entry.get("flow") or {}, below, making)}}
    raw: Raw = copy.deepcopy(known) if known and not is_note(known) else {"id": name, "type": "genericNode"}
    data: Raw = raw.get("data") or {}
    return {**raw, "data": {**data, "id": name, "type": component, "node": body}}


def _fill(
    template: Raw, entry: Mapping[str, Any], before: Mapping[str, Any], making: _Making, *, place: tuple[str, list[str]]
) -> None:
    name, without = place
    chosen, variables, paths = (_a_mapping(entry.get(key) or {}, f"nodes.{name}.{key}") for key in _CHOSEN)
    secrets = entry.get("secrets") or []
    unknown = [one for one in (*chosen, *variables, *paths, *secrets) if not isinstance(template.get(one), dict)]
    if unknown:
        raise FlowFormatError(f"Node `{name[:80]}` has no field `{str(unknown[0])[:80]}`.")
    fields = {key: one for key, one in template.items() if isinstance(one, dict)}
    named = {key: variable for key, variable in variables.items() if key not in without}
    values = {key: usual(one) for key, one in fields.items() if key not in without} | chosen | named
    values |= {key: _secret(before.get(key), f"{name}.{key}", making) for key in secrets}
    if "source" in entry and "code" in fields:
        values["code"] = _text(making.files, entry["source"], name)
    for key, value in values.items():
        fields[key]["value"] = value
    for key in variables:
        fields[key]["load_from_db"] = True
    for key, path in paths.items():
        fields[key]["file_path"] = path


_CHOSEN = ("values", "variables", "files")


def _secret(known: Json, place: str, making: _Making) -> Json:
    if isinstance(known, dict) and known.get("value") and not known.get("load_from_db"):
        return known["value"]
    making.unfilled.append(place)
    return ""


def _text(files: Mapping[str, str], name: Json, node: str) -> str:
    if not isinstance(name, str) or name not in files:
        raise FlowFormatError(f"Node `{node[:80]}` stands on `components/{str(name)[:100]}`, which is not there.")
    return files[name]


def _parsed(files: Mapping[str, str], name: Json, node: str) -> Raw:
    try:
        return _a_mapping(orjson.loads(_text(files, name, node)), str(name))
    except orjson.JSONDecodeError as cause:
        raise FlowFormatError(f"`components/{name}` is not JSON: {cause.msg}.") from cause


def _a_mapping(value: Json, place: str) -> Raw:
    if not isinstance(value, dict):
        raise FlowFormatError(f"`{place[:100]}` must be a mapping.")
    return dict(value)


def _note(name: str, text: Json, known: Raw | None) -> Raw:
    if known is not None and is_note(known):
        data = known["data"] if isinstance(known.get("data"), dict) else {}
        return {**known, "data": {**data, "node": {**body_of(known), "description": str(text)}}}
    node = {"description": str(text), "display_name": "", "documentation": "", "template": {}}
    data = {"id": name, "type": "note", "node": node}
    return {"id": name, "type": "noteNode", "position": {"x": 0, "y": -_APART[1]}, "data": data}


def _ends(wire: Json) -> Raw:
    if isinstance(wire, str):
        left, sign, right = wire.partition(" >> ") if " >> " in wire else wire.partition(" > ")
        source, dot, output = left.strip().rpartition(".")
        target, other, name = right.strip().rpartition(".")
        if not (sign and dot and other):
            raise FlowFormatError(f"`{wire[:100]}` is no wire; write `NODE.output > NODE.field`.")
        return {"source": source, "output": output, "target": target, "field": name, "loops": sign == " >> "}
    found = _a_mapping(wire, "wires")
    if missing := [name for name in ("source", "output", "target", "field") if not isinstance(found.get(name), str)]:
        raise FlowFormatError(f"A wire says not its `{missing[0]}`.")
    return {"loops": False, **found}


def _edge(ends: Raw, nodes: Mapping[str, Raw]) -> Raw:
    facts = {**usual_facts(nodes, ends, loops=bool(ends["loops"])), **ends}
    source = {
        "dataType": facts["source_type"],
        "id": ends["source"],
        "name": ends["output"],
        "output_types": facts["gives"],
    }
    target: Raw = {"id": ends["target"]}
    if ends["loops"]:
        target |= {"name": ends["field"], "output_types": facts["takes"], "dataType": facts["kind"]}
    else:
        target |= {"fieldName": ends["field"], "inputTypes": facts["takes"], "type": facts["kind"]}
    plugs = {"sourceHandle": source, "targetHandle": target}
    spelt = {name: orjson.dumps(plug).decode().replace('"', "œ") for name, plug in plugs.items()}
    name = f"reactflow__edge-{ends['source']}{spelt['sourceHandle']}-{ends['target']}{spelt['targetHandle']}"
    return {"id": name, "source": ends["source"], "target": ends["target"], **spelt, "data": plugs}


def _lay_out(new: list[Raw], nodes: Mapping[str, Raw], wires: list[Raw]) -> None:
    """Give new nodes places: from left to right as values flow, below what is there."""
    level = dict(_levels(nodes, wires))
    lowest = max((raw.get("position", {}).get("y", 0) for raw in nodes.values()), default=0)
    below = lowest + _APART[1] if len(new) < len(nodes) else 0
    rows: dict[int, int] = {}
    for raw in new:
        column = level[raw["id"]]
        rows[column] = rows.get(column, -1) + 1
        raw["position"] = {"x": column * _APART[0], "y": below + rows[column] * _APART[1]}


def _levels(nodes: Mapping[str, Raw], wires: list[Raw]) -> Iterator[tuple[str, int]]:
    level = dict.fromkeys(nodes, 0)
    for _ in range(min(len(nodes), 50)):  # a loop would push its body on for ever
        for wire in wires:
            if not wire["loops"] and wire["source"] in level and wire["target"] in level:
                level[wire["target"]] = max(level[wire["target"]], min(level[wire["source"]] + 1, 50))
    yield from level.items()

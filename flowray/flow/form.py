"""A flow as files that people review: what was chosen in one place, in order, without places, ids and times of editors.

The form of a flow is one mapping (what is in `NAME.flow.yaml`) and the files it stands on, named after their content:
the source of its components, and their descriptions, which change when a component does and not when a value does.
Values of secrets are in none of them. `flowray.flow.formed` goes the other way.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from flowray.flow.digest import CANVAS
from flowray.flow.handles import with_handles
from flowray.flow.hosts import KEY
from flowray.flow.langflow import read
from flowray.flow.nodes import body_of, is_note
from flowray.flow.secrets import holds_secret
from flowray.flow.types import Json

Raw = dict[str, Any]
ATTRIBUTES = (
    "name",
    "id",
    "endpoint_name",
    "description",
    "tags",
    "icon",
    "icon_bg_color",
    "locked",
    "mcp_enabled",
    "is_component",
    "access_type",
    "action_name",
    "action_description",
)
_UNSAID: tuple[Json, ...] = (None, False, "", [], "PRIVATE")
_SWITCHES = ("frozen", "tool_mode")
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
# Where a node's own things are in its description's stead.
MOVED = ("display_name", "template", "flow", *_SWITCHES)


@dataclass(frozen=True, kw_only=True)
class Form:
    """`flow` is what a person reads, `files` are the texts it stands on, by name."""

    flow: Raw
    files: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """The same for the same flow, whatever the values of its secrets."""
        return hashlib.sha256(orjson.dumps(self.flow, option=orjson.OPT_SORT_KEYS)).hexdigest()


def form(document: Mapping[str, Json]) -> Form:
    """Return the form of a Langflow document; `FlowFormatError` when that is none."""
    read(document)
    canvas = document.get("data") or {} if "data" in document else document
    files: dict[str, str] = {}
    said = {name: document[name] for name in ATTRIBUTES if name in document and document[name] not in _UNSAID}
    own = {KEY: canvas[KEY]} if canvas.get(KEY) is not None else {}
    return Form(flow={**said, **own, **_canvas(canvas, files)}, files=files)


def usual(field: Mapping[str, Json]) -> Json:
    """The value that a field of a template has when nobody chose one; it is not written down."""
    if field.get("type") == "bool":
        return False
    if field.get("list") or field.get("is_list"):
        return []
    return {} if field.get("type") in ("dict", "NestedDict") else ""


def _canvas(canvas: Mapping[str, Json], files: dict[str, str]) -> Raw:
    nodes = {raw["id"]: raw for raw in canvas.get("nodes") or [] if not is_note(raw)}
    notes = {raw["id"]: _note(raw) for raw in canvas.get("nodes") or [] if is_note(raw) and _has_name(raw)}
    found = {
        "nodes": {name: _node(nodes[name], files) for name in sorted(nodes)},
        "wires": _wires([with_handles(raw, "An edge") for raw in canvas.get("edges") or []], nodes),
        "notes": dict(sorted(notes.items())),
    }
    return {name: value for name, value in found.items() if value or name == "nodes"}


def _has_name(note: Raw) -> bool:
    return isinstance(note.get("id"), str) and note["id"] != ""


def _note(raw: Raw) -> str:
    return str(body_of(raw).get("description") or "")


def _node(raw: Raw, files: dict[str, str]) -> Raw:
    component, body = raw["data"]["type"], raw["data"]["node"]
    template = body.get("template") or {}
    entry: Raw = {"component": component}
    if isinstance(body.get("display_name"), str):
        entry["name"] = body["display_name"]
    entry["definition"] = _kept(files, component, ".json", _definition(body))
    source = template.get("code")
    if isinstance(source, dict) and isinstance(source.get("value"), str):
        entry["source"] = _kept(files, component, ".py", source["value"])
    entry |= {name: True for name in _SWITCHES if body.get(name) is True}
    entry |= _chosen(template)
    if isinstance(body.get("flow"), dict):
        entry["flow"] = _canvas(body["flow"].get("data") or {}, files)
    return entry


def _chosen(template: Mapping[str, Json]) -> Raw:
    """Return what was chosen for the fields: values, variables, files, and for which a secret was given."""
    found: dict[str, Any] = {"values": {}, "variables": {}, "files": {}, "secrets": []}
    for name, field in sorted(_fields(template)):
        if field.get("load_from_db") is True:
            found["variables"][name] = field.get("value")
        elif holds_secret(name, field):
            found["secrets"].append(name)
        elif "value" in field and not _is_usual(field):
            found["values"][name] = field["value"]
        if isinstance(field.get("file_path"), str) and field["file_path"]:
            found["files"][name] = field["file_path"]
    return {name: value for name, value in found.items() if value}


def _is_usual(field: Mapping[str, Json]) -> bool:
    value, plain = field["value"], usual(field)
    return type(value) is type(plain) and bool(value == plain)


def _fields(template: Mapping[str, Json]) -> Iterator[tuple[str, Raw]]:
    for name, field in template.items():
        is_source = name == "code" and isinstance(field, dict) and isinstance(field.get("value"), str)
        if isinstance(field, dict) and not is_source:
            yield name, field


def _definition(body: Raw) -> str:
    """What a component says of itself, in lines: the same for all its nodes, whatever they were given."""
    template = body.get("template") or {}
    fields = {name: _undecided(field) if isinstance(field, dict) else field for name, field in template.items()}
    rest = {name: value for name, value in body.items() if name not in MOVED and name not in CANVAS}
    if "display_name" in body and not isinstance(body["display_name"], str):
        rest["display_name"] = body["display_name"]
    rest |= {name: False if body[name] is True else body[name] for name in _SWITCHES if name in body}
    if "flow" in body:
        rest["flow"] = body["flow"]
    if isinstance(body.get("flow"), dict):
        rest["flow"] = {name: value for name, value in body["flow"].items() if name != "data"}
    said = {**rest, "template": fields, "without_value": sorted(n for n, f in _fields(template) if "value" not in f)}
    return orjson.dumps(said, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"


def _undecided(field: Raw) -> Raw:
    left = {name: value for name, value in field.items() if name != "value"}
    if left.get("load_from_db") is True:
        left["load_from_db"] = False
    if isinstance(left.get("file_path"), str):
        left["file_path"] = ""
    return left


def _kept(files: dict[str, str], component: str, ending: str, text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    name = f"{'-'.join(_PLAIN.findall(component))[:60] or 'component'}-{digest}{ending}"
    files[name] = text
    return name


def _wires(raws: list[Raw], nodes: Mapping[str, Raw]) -> list[str | Raw]:
    """Return the wires sorted, but those into one field in their own order, since that is the order of its values."""
    drawn: dict[bytes, tuple[bytes, str | Raw]] = {}
    for raw in raws:
        ends = _ends(raw)
        field = orjson.dumps([ends["target"], ends["field"]])
        drawn.setdefault(orjson.dumps(ends), (field, _wire(raw, ends, nodes)))
    turns: dict[bytes, deque[str | Raw]] = {}
    for field, wire in drawn.values():
        turns.setdefault(field, deque()).append(wire)
    by_text = sorted(drawn.values(), key=lambda one: orjson.dumps(one[1], option=orjson.OPT_SORT_KEYS))
    return [turns[field].popleft() for field, _ in by_text]


def _loops(raw: Raw) -> bool:
    target = raw["data"]["targetHandle"]
    return "fieldName" not in target and "name" in target


def _ends(raw: Raw) -> Raw:
    source, target = raw["data"]["sourceHandle"], raw["data"]["targetHandle"]
    return {
        "source": raw["source"],
        "output": source.get("name"),
        "target": raw["target"],
        "field": target.get("name") if _loops(raw) else target.get("fieldName"),
    }


def _wire(raw: Raw, ends: Raw, nodes: Mapping[str, Raw]) -> str | Raw:
    source, target, loops = raw["data"]["sourceHandle"], raw["data"]["targetHandle"], _loops(raw)
    takes = target.get("inputTypes") or target.get("output_types") or []
    facts = {
        "source_type": source.get("dataType"),
        "gives": source.get("output_types") or source.get("baseClasses") or [],
        "takes": takes,
        "kind": target.get("dataType") if loops else target.get("type"),
    }
    plain = usual_facts(nodes, ends, loops=loops)
    odd = {name: value for name, value in facts.items() if value != plain[name]}
    if odd or not all(isinstance(end, str) and _PLAIN.fullmatch(end) for end in ends.values()):
        return {**ends, **({"loops": True} if loops else {}), **odd}
    return f"{ends['source']}.{ends['output']} {'>>' if loops else '>'} {ends['target']}.{ends['field']}"


def usual_facts(nodes: Mapping[str, Raw], ends: Mapping[str, Json], *, loops: bool) -> Raw:
    """What the plugs of a wire say when they say what their nodes do."""
    source, target = nodes.get(ends["source"]), nodes.get(ends["target"])
    fields = (target["data"]["node"].get("template") or {}) if target else {}
    field = fields.get(ends["field"]) if isinstance(ends["field"], str) else None
    taken = _types(target, ends["field"]) if loops else (field or {}).get("input_types") or []
    return {
        "source_type": source["data"]["type"] if source else None,
        "gives": _types(source, ends["output"]),
        "takes": taken,
        "kind": (target["data"]["type"] if target else None) if loops else (field or {}).get("type"),
    }


def _types(node: Raw | None, name: Json) -> list[Json]:
    outputs = (node["data"]["node"].get("outputs") or []) if node else []
    return next((one.get("types") or [] for one in outputs if one.get("name") == name), [])

"""Requests that the service's own description allows, with an attacker's code at each place that takes anything."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Schema = Mapping[str, Any]
_SHORT = "laced"
_NOBODYS = str(uuid.UUID(int=7))


@dataclass(frozen=True, kw_only=True)
class Bait:
    """What is put in: the code as text, a flow and a node that hold it, and ids of what is there."""

    source: str
    flow: Mapping[str, Any]
    node_id: str
    node: Mapping[str, Any]
    ids: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Laced:
    """One request."""

    method: str
    path: str
    operation: str
    body: Mapping[str, Any] = field(default_factory=dict)


def requests(document: Schema, bait: Bait) -> Iterator[Laced]:
    """Yield several requests for each operation: all of its body laced, and each part of it alone."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            # What is there must stay there for the next request.
            filled = _filled(path, {} if method == "delete" else bait.ids)
            asked = [
                one["name"] for one in operation.get("parameters", ()) if one.get("required") and one["in"] == "query"
            ]
            url = f"{filled}?{'&'.join(f'{name}={_SHORT}' for name in asked)}"
            for body in _bodies(operation, document, bait):
                yield Laced(method=method, path=url, operation=f"{method} {path}", body=body)


def _filled(path: str, ids: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: ids.get(found[1], _NOBODYS), path)


def _bodies(operation: Schema, document: Schema, bait: Bait) -> Iterator[dict[str, Any]]:
    content = operation.get("requestBody", {}).get("content", {})
    if "multipart/form-data" in content:
        yield {"files": {"file": ("flow.json", json.dumps({**bait.flow, "name": _new_name()}))}}
        yield {"files": {"file": ("component.py", bait.source)}}
        return
    if "application/json" not in content:
        yield {"content": bait.source}
        return
    schema = _resolved(content["application/json"]["schema"], document)
    laced = _Lacer(document, bait)
    whole = laced.value("", schema)
    yield {"json": whole}
    if isinstance(whole, dict):
        needed = set(schema.get("required", ()))
        for name, part in schema.get("properties", {}).items():
            alone = {key: value for key, value in whole.items() if key in needed}
            yield {"json": alone | {name: laced.any_text(name, part)}}


class _Lacer:
    def __init__(self, document: Schema, bait: Bait) -> None:
        self._document = document
        self._bait = bait

    def any_text(self, name: str, schema: Schema) -> Any:
        """The code itself wherever text may be, whatever is said of its length and form."""
        return self._bait.source if self._shape(schema).get("type") == "string" else self.value(name, schema)

    def value(self, name: str, schema: Schema) -> Any:
        """Something that fits the description, and holds the code where it can."""
        shape = self._shape(schema)
        if shape.get("enum"):
            return shape.get("default") or shape["enum"][0]
        match shape.get("type"):
            case "string":
                return self._text(name, shape)
            case "array":
                return [self.value(name, shape.get("items", {}))]
            case "object":
                return self._object(name, shape)
            case "integer" | "number" | "boolean":
                return shape.get("default", shape.get("minimum", 1))
            case _:
                return self._bait.source

    def _shape(self, schema: Schema) -> Schema:
        shape = _resolved(schema, self._document)
        kinds = [_resolved(one, self._document) for one in shape.get("anyOf", ())]
        return next((one for one in kinds if one.get("type") != "null"), shape)

    def _text(self, name: str, shape: Schema) -> Any:
        if shape.get("format") == "uuid":
            return self._bait.ids["flow"]
        if name in ("name", "endpoint_name"):
            return _new_name()
        if shape.get("pattern") or shape.get("maxLength", 1 << 20) < len(self._bait.source):
            return self._bait.ids.get(name.removesuffix("_id"), _SHORT if not shape.get("pattern") else None)
        return self._bait.source

    def _object(self, name: str, shape: Schema) -> Any:
        if shape.get("properties"):
            return {key: self.value(key, part) for key, part in shape["properties"].items()}
        known = {"data": self._bait.flow["data"], "frontend_node": self._bait.node}
        known["template"] = self._bait.node["template"]
        return known.get(name) or {self._bait.node_id: {"code": self._bait.source, "input_value": self._bait.source}}


def _resolved(schema: Schema, document: Schema) -> Schema:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _new_name() -> str:
    return f"laced-{uuid.uuid4()}"

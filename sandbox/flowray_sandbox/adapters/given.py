"""What came to a node of another framework, out of lfx's values: texts, documents and plain JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lfx.graph.vertex.base import Vertex
from lfx.schema.data import Data
from lfx.schema.dataframe import DataFrame
from lfx.schema.message import Message

from flowray_sandbox.adapters.adapter import Document, Given
from flowray_sandbox.adapters.shapes import Shape

_PORTS = ("input_value", "documents", "inputs")


def read(shape: Shape, vertex: Vertex | None, attributes: Mapping[str, Any]) -> Given:
    """The values of a node's fields. What to run is taken from the flow itself: no wire and no caller changes it."""
    if vertex is None:
        raise RuntimeError("A node of another framework runs in a flow only.")
    definition = vertex.data["node"]["template"].get(shape["definition"]) or {}
    return Given(
        definition=str(definition.get("value") or ""),
        text=_text(attributes.get("input_value")),
        documents=tuple(_documents(attributes.get("documents"))),
        inputs=dict(pair for value in _many(attributes.get("inputs")) for pair in _object(value).items()),
        settings={name: value for name, value in attributes.items() if name not in (*_PORTS, shape["definition"])},
    )


def plain(value: Any) -> Any:
    """JSON of whatever a framework puts out; what has no form of its own is told as text."""
    return json.loads(json.dumps(value, default=_plain))


def _plain(value: Any) -> Any:
    for name in ("to_dict", "model_dump"):
        form = getattr(value, name, None)
        if callable(form) and not isinstance(value, type):
            return form()
    return list(value) if isinstance(value, set | frozenset | tuple) else str(value)


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, Message):
        return str(value.text or "")
    return str(value.get_text()) if isinstance(value, Data) else str(value)  # type: ignore[no-untyped-call]  # lfx


def _documents(value: Any) -> Iterator[Document]:
    for one in _many(value):
        if isinstance(one, DataFrame):
            yield from map(_document, one.to_dict(orient="records"))
        elif isinstance(one, Message):
            yield Document(text=str(one.text or ""))
        else:
            yield _document(_object(one))


def _document(facts: Mapping[str, Any]) -> Document:
    text = facts.get("text")
    return Document(
        text=json.dumps(facts, default=str) if text is None else str(text),
        facts={str(name): value for name, value in facts.items() if name != "text"},
    )


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, Data):
        return dict(value.data)
    if isinstance(value, dict):
        return value
    return {"text": str(value)}


def _many(value: Any) -> list[Any]:
    if value is None or (isinstance(value, str) and not value):
        return []
    return value if isinstance(value, list) else [value]

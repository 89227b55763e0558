"""Shapes that read well and that lfx cannot make a node of: what it takes apart without asking what it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flowray.flow.shape import clipped
from flowray.flow.types import Flow, Json, JsonObject, Node

# lfx's DIRECT_TYPES, and what it treats on its own.
FIELD_TYPES = frozenset(
    {
        *("str", "bool", "dict", "int", "float", "Any", "prompt", "mustache", "code", "NestedDict", "table", "slider"),
        *("tab", "sortableList", "actionPicker", "duration", "auth", "connect", "connection_ref", "query", "tools"),
        *("mcp", "model", "data_display", "other", "file"),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Flaw:
    """What is wrong with a node, and at which of its fields."""

    node: Node
    field: str
    message: str


def flaws(flow: Flow) -> Iterator[Flaw]:
    """Yield what surely fails when lfx builds the nodes."""
    wired = {(edge.target, edge.field) for edge in flow.edges}
    for node in flow.nodes:
        body = node.raw["data"]["node"]
        if type(node.raw["data"].get("id")) is not str:
            yield _flaw(node, "data.id", "is no text", "give it the node's id")
        yield from _outputs(node, body.get("outputs"))
        for name, raw in body["template"].items():
            if type(raw) is dict:
                yield from _field(node, name, raw, wired=(node.id, name) in wired)


def _outputs(node: Node, outputs: Json) -> Iterator[Flaw]:
    if outputs is None:
        yield _flaw(node, "outputs", "is null", "give a list")
        return
    for index, raw in enumerate(outputs):
        for key in ("types", "method"):
            if raw.get(key, "") is None:
                yield _flaw(node, f"outputs.{index}.{key}", "is null", "save the node again in Langflow")


def _field(node: Node, name: str, raw: JsonObject, *, wired: bool) -> Iterator[Flaw]:
    if raw.get("input_types", ()) is None:
        yield _flaw(node, f"{name}.input_types", "is null", "give a list, or leave it out")
    # What takes no part is left alone; a file field is known by another mark, too.
    if wired or name == "code" or not raw.get("show") or raw.get("_input_type") == "FileInput":
        return
    kind = raw.get("type")
    if kind not in FIELD_TYPES:
        said = f"is `{clipped(kind)}`, which is no type of a field" if kind else "is missing"
        yield _flaw(node, f"{name}.type", said, 'the usual one is "str"')


def _flaw(node: Node, field: str, said: str, remedy: str) -> Flaw:
    message = f"`{clipped(field)}` of `{clipped(node.id)}` {said}: {remedy}."
    return Flaw(node=node, field=clipped(field), message=message)

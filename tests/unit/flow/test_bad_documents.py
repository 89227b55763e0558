"""Documents that are no flows: each gets a clear error, in bounded time and memory."""

from __future__ import annotations

import math
from typing import Any

import pytest

from flowray.errors import FlowFormatError, FlowTooLargeError
from flowray.flow.langflow import read
from tests.unit.build import document, field, node, output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("not json", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ('{"nodes": [NaN]}', "NaN and Infinity are no JSON numbers"),
        ('{"nodes": [1e999]}', "infinity"),
        ('{"name": "\\ud800", "nodes": []}', "surrogate"),
        ('{"name": "\ud800", "nodes": []}', "surrogates"),
        ("[1, 2]", "expected an object, got a list"),
        ("null", "expected an object, got null"),
        ("{}", "not a Langflow flow"),
        ('{"data": null}', "`data`: expected an object, got null"),
        ('{"flows": [{}, {}]}', "a collection of 2 flows"),
        ('{"nodes": {}}', "`nodes`: expected a list, got an object"),
        ('{"nodes": [5]}', "Node 0: expected an object, got a number"),
        ('{"nodes": [], "edges": [5]}', "Edge 0: expected an object, got a number"),
        ('{"nodes": [], "name": 5}', "`name`: expected text, got a number"),
    ],
)
def test_what_is_no_flow_is_refused(text: str | bytes, said: str) -> None:
    with pytest.raises(FlowFormatError, match=said):
        read(text)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "JSON cannot carry the number nan"),
        (-math.inf, "JSON cannot carry the number -inf"),
        (2**80, "JSON cannot carry the number 1208925819614629174706176"),
        ("\ud800", r"lone surrogate \(U\+D800\)"),
        ({1: 2}, "a key that is no text but int"),
        ({"\udfff": 2}, "lone surrogate"),
        ({1, 2}, "JSON cannot carry a set"),
        (b"x", "JSON cannot carry a bytes"),
    ],
)
def test_an_object_that_no_json_could_hold_is_refused(value: Any, said: str) -> None:
    with pytest.raises(FlowFormatError, match=said):
        read(document(node("a", fields=(field("x", value=[value]),))))


def test_what_is_neither_text_nor_object_is_refused() -> None:
    with pytest.raises(FlowFormatError, match="not list"):
        read([1])  # type: ignore[arg-type]  # this is the mistake


def _broken(path: str, value: Any) -> dict[str, Any]:
    """A sound flow with the value at the path exchanged."""
    doc = document(node("a", outputs=(output("out", "Message"),)), node("b"), wires=("a.out > b.in",))
    place: Any = doc["data"]
    *way, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    for part in way:
        place = place[part]
    place[last] = value
    return doc


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("nodes/0/id", 7, "Node 0, `id`: expected a name, got a number"),
        ("nodes/0/id", "", "Node 0, `id`: expected a name, got an empty text"),
        ("nodes/0/data", [], "Node `a`, `data`: expected an object, got a list"),
        ("nodes/0/data/type", None, "Node `a`, `data.type`: expected a name, got null"),
        ("nodes/0/data/node", "x", "Node `a`, `data.node`: expected an object, got text"),
        ("nodes/0/data/node/template", None, "Node `a`, `template`: expected an object, got null"),
        ("nodes/0/data/node/display_name", {}, "Node `a`, `display_name`: expected text, got an object"),
        ("nodes/0/data/node/base_classes", [1], "Node `a`, `base_classes.0`: expected text, got a number"),
        ("nodes/0/data/node/template/code", 5, "Node `a`, `template.code`: expected an object, got a number"),
        ("nodes/0/data/node/template/code/value", 5, "Node `a`, `template.code.value`: expected source text"),
        ("nodes/0/data/node/template/in/type", [], "Node `a`, `template.in.type`: expected text, got a list"),
        (
            "nodes/0/data/node/template/in/input_types",
            "Message",
            "Node `a`, `template.in.input_types`: expected a list",
        ),
        ("nodes/0/data/node/template/in/input_types", [True], "`template.in.input_types.0`: expected text"),
        ("nodes/0/data/node/outputs", {}, "Node `a`, `outputs`: expected a list, got an object"),
        ("nodes/0/data/node/outputs/0", 1, "Node `a`, `outputs.0`: expected an object, got a number"),
        ("nodes/0/data/node/outputs/0/name", None, "Node `a`, `outputs.0.name`: expected a name, got null"),
        ("nodes/0/data/node/outputs/0/types", "Message", "Node `a`, `outputs.0.types`: expected a list, got text"),
        ("edges/0/source", 5, "Edge 0, `source`: expected a name, got a number"),
        ("edges/0/target", None, "Edge 0, `target`: expected a name, got null"),
        ("edges/0/id", 5, "Edge 0, `id`: expected text, got a number"),
        ("edges/0/data", "x", "Edge 0, `data`: expected an object, got text"),
        ("edges/0/data/sourceHandle", 5, "Edge 0, `sourceHandle`: expected an object, got a number"),
        ("edges/0/data/sourceHandle", "{nonsense", "Edge 0, `sourceHandle`: expected a handle, got text"),
        ("edges/0/data/targetHandle", None, "Edge 0, `targetHandle`: expected an object, got null"),
        ("edges/0/data/targetHandle/fieldName", None, "Edge 0, `targetHandle.fieldName`: expected a name, got null"),
        ("edges/0/data/sourceHandle/output_types", "Message", "`sourceHandle.output_types`: expected a list, got text"),
    ],
)
def test_a_wrong_type_is_named_with_its_node_and_field(path: str, value: Any, said: str) -> None:
    with pytest.raises(FlowFormatError) as caught:
        read(_broken(path, value))

    assert said in caught.value.message


@pytest.mark.parametrize("path", ["nodes/0/data/node/outputs/0/types", "nodes/0/data/node/base_classes"])
def test_a_port_that_gives_very_many_types_is_refused(path: str) -> None:
    with pytest.raises(FlowTooLargeError, match=r"Node `a`, .*: 101 types; at most 100 are allowed"):
        read(_broken(path, ["Message"] * 101))


def test_a_message_never_repeats_a_huge_name() -> None:
    with pytest.raises(FlowFormatError) as caught:
        read(document({**node("x" * 1_000_000), "data": None}))

    assert len(caught.value.message) < 200


def test_too_many_bytes_are_refused_unread() -> None:
    with pytest.raises(FlowTooLargeError, match="100,000,000 bytes; at most 16,777,216"):
        read(b"[" * 100_000_000)


def test_a_small_document_of_very_many_values_is_refused_unread() -> None:
    with pytest.raises(FlowTooLargeError, match="more than 1,000,000 values"):
        read("[" + "{}," * 1_500_000 + "{}]")


def test_too_many_nodes_are_refused() -> None:
    with pytest.raises(FlowTooLargeError, match="5,000 nodes; at most 2,000"):
        read({"nodes": [node("a")] * 5_000})


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("source", ["[" * 300 + "]" * 300, '{"nodes": ' * 300 + "1" + "}" * 300])
def test_deep_nesting_is_refused_in_text(source: str) -> None:
    with pytest.raises(FlowTooLargeError, match="nested deeper than 200"):
        read(source)


def test_deep_nesting_is_refused_in_the_text_of_a_handle() -> None:
    with pytest.raises(FlowFormatError, match="`sourceHandle`: the handle is nested deeper than 32 levels"):
        read(_broken("edges/0/data/sourceHandle", '{"name": ' * 900 + '"out"' + "}" * 900))


def test_very_deep_nesting_is_refused_in_text() -> None:
    with pytest.raises(FlowFormatError, match="depth limit"):
        read("[" * 100_000 + "]" * 100_000)


def test_deep_nesting_is_refused_in_an_object() -> None:
    with pytest.raises(FlowTooLargeError, match="nested deeper than 200"):
        read({"nodes": _nested(5_000)})


def test_an_object_that_holds_itself_is_refused() -> None:
    ouroboros: list[Any] = []
    ouroboros += [ouroboros, ouroboros]

    with pytest.raises(FlowTooLargeError):
        read({"nodes": ouroboros})

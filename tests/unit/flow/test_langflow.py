"""Reading and writing Langflow's documents."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

import pytest

from flowray.errors import FlowFormatError
from flowray.flow.langflow import read, write
from tests.unit.build import document, escaped, field, flow_of, node, note, output


def test_a_whole_export_is_read() -> None:
    flow = flow_of(node("a"), node("b"), wires=("a.out > b.in",), id="f-1", description="d", endpoint_name="ask")

    assert (flow.name, flow.id, flow.description, flow.endpoint_name) == ("Test flow", "f-1", "d", "ask")
    assert [n.id for n in flow.nodes] == ["a", "b"]
    assert [(e.source, e.output, e.target, e.field) for e in flow.edges] == [("a", "out", "b", "in")]
    assert (flow.edges[0].source_types, flow.edges[0].target_types) == (("Message",), ("Message",))


def test_bare_nodes_and_edges_are_read() -> None:
    flow = read(document(node("a"))["data"])

    assert [n.id for n in flow.nodes] == ["a"]
    assert flow.name == "Untitled flow"


def test_source_as_lines_as_downloads_have_it_is_read_as_text() -> None:
    lines = field("code", type="code", value=["import this", "", "x = 1"])

    bare, whole = document(node("a", code=None, fields=(lines,)))["data"], document(node("a", fields=(lines,)))

    assert [one.code for flow in (bare, whole) for one in read(flow).nodes] == ["import this\n\nx = 1"] * 2


@pytest.mark.parametrize(
    "encode", [str, str.encode, lambda text: "\ufeff" + text, lambda text: bytearray(text.encode())]
)
def test_text_and_bytes_are_read_alike(encode: Callable[[str], str | bytes]) -> None:
    flow = read(encode(json.dumps(document(node("a")))))

    assert [n.id for n in flow.nodes] == ["a"]


def test_notes_are_set_aside_and_kept() -> None:
    flow = read(document(node("a"), note()))

    assert flow.notes == 1
    assert [n.id for n in flow.nodes] == ["a"]
    assert note() in write(flow)["data"]["nodes"]


def test_a_node_has_its_fields_outputs_and_source() -> None:
    query = field("query", "Message", required=True, load_from_db=True, password=True, tool_mode=True, value="hi")
    flow = flow_of(
        node("a", fields=(query,), outputs=(output("out", "Data"),), code="y = 2", frozen=True, tool_mode=True)
    )

    [read_node] = flow.nodes
    taken = read_node.fields["query"]
    assert (taken.input_types, taken.value, taken.required, taken.load_from_db) == (("Message",), "hi", True, True)
    assert (taken.password, taken.tool_mode, taken.show) == (True, True, True)
    assert (read_node.outputs[0].name, read_node.outputs[0].types, read_node.outputs[0].method) == (
        "out",
        ("Data",),
        "make_out",
    )
    assert (read_node.code, read_node.frozen, read_node.tool_mode) == ("y = 2", True, True)
    assert "code" not in read_node.fields


def test_the_value_of_a_file_field_is_its_path() -> None:
    flow = flow_of(node("a", fields=(field("path", type="file", file_path="flow/x.txt"),)))

    assert flow.nodes[0].fields["path"].value == "flow/x.txt"


def test_a_node_answers_the_caller_by_its_id_its_type_or_its_own_word() -> None:
    flow = flow_of(node("ChatOutput-1"), node("x", "TextOutput"), node("y", is_output=True), node("z"))

    assert [n.id for n in flow.nodes if n.is_output] == ["ChatOutput-1", "x", "y"]


def test_handles_are_read_from_the_canvas_spelling() -> None:
    doc = document(node("a"), node("b"), wires=("a.out > b.in",))
    edge = doc["data"]["edges"][0]
    handles = edge.pop("data")
    edge |= {name: escaped(handle) for name, handle in handles.items()}

    flow = read(doc)

    assert (flow.edges[0].output, flow.edges[0].field) == ("out", "in")
    assert flow.edges[0].raw["data"] == handles


def test_a_handle_from_before_langflow_1_is_refused_with_the_remedy() -> None:
    doc = document(node("a"), node("b"), wires=("a.out > b.in",))
    doc["data"]["edges"][0] |= {"data": None, "sourceHandle": "Prompt|a|Message", "targetHandle": "b|in"}

    with pytest.raises(FlowFormatError, match=r"Edge 0, `sourceHandle`.*Langflow 1\.x"):
        read(doc)


def test_the_wire_that_closes_a_loop_is_marked() -> None:
    loop = node("loop", outputs=(output("item", "Data", allows_loop=True), output("done", "Table")))
    flow = flow_of(loop, node("b"), wires=("loop.item > b.in", "b.out >> loop.item"))

    assert [(e.field, e.feedback) for e in flow.edges] == [("in", False), ("item", True)]


def test_a_wire_drawn_twice_is_one() -> None:
    flow = flow_of(node("a"), node("b"), wires=("a.out > b.in", "a.out > b.in"))

    assert len(flow.edges) == 1


def test_each_wire_has_an_id_of_its_own() -> None:
    doc = document(node("a"), node("b"), node("c"), wires=("a.out > b.in", "a.out > c.in", "b.out > c.in"))
    doc["data"]["edges"][0]["id"] = doc["data"]["edges"][1]["id"] = "same"
    del doc["data"]["edges"][2]["id"]

    flow = read(doc)

    assert len({edge.id for edge in flow.edges}) == 3


def test_handle_ids_follow_the_wire() -> None:
    doc = document(node("a"), node("b"), wires=("a.out > b.in",))
    doc["data"]["edges"][0]["data"]["sourceHandle"]["id"] = "old-name"

    flow = read(doc)

    assert flow.edges[0].raw["data"]["sourceHandle"]["id"] == "a"


def test_unknown_fields_survive_a_round_trip() -> None:
    doc = document(
        node("a", made_up={"x": [1]}), note(), node("b"), wires=("a.out > b.in",), tags=["t"], later={"y": 2}
    )
    doc["data"]["nodes"][0]["selected"] = True
    doc["data"]["edges"][0]["style"] = {"stroke": "red"}
    before = copy.deepcopy(doc)

    written = write(read(doc))

    assert sorted(written["data"]["nodes"], key=str) == sorted(before["data"]["nodes"], key=str)
    assert written["data"]["edges"] == before["data"]["edges"]
    assert {**written, "data": None} == {**before, "data": None}
    assert written["data"]["viewport"] == before["data"]["viewport"]
    assert doc == before


def test_what_langflow_indexes_without_asking_is_filled_in() -> None:
    doc = document(node("a"))
    raw = doc["data"]["nodes"][0]
    del raw["data"]["node"]["template"]["_type"], raw["data"]["node"]["outputs"], raw["data"]["id"]

    ready = read(doc).nodes[0].raw

    assert ready["data"]["id"] == "a"
    assert ready["data"]["node"]["template"]["_type"] == "Component"
    assert ready["data"]["node"]["outputs"] == []


def test_the_largest_and_the_smallest_integer_are_read() -> None:
    flow = flow_of(node("a", fields=(field("x", value=[2**64 - 1, -(2**63)]),)))

    assert flow.nodes[0].fields["x"].value == [2**64 - 1, -(2**63)]

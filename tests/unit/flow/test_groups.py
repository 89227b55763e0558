"""Groups are taken apart: the nodes inside run, the box around them does not."""

from __future__ import annotations

from typing import Any

import pytest

from flowray.errors import FlowFormatError, FlowTooLargeError
from flowray.flow.check import check_wiring
from flowray.flow.langflow import read
from tests.unit.build import Raw, document, field, flow_of, node, output, wire


def group(
    group_id: str, *inside: Raw, wires: tuple[str, ...] = (), shows: dict[str, str], gives: dict[str, str], **body: Any
) -> Raw:
    """A group that shows inner fields ("box_x": "inner.in") and outputs ("box_out": "inner.out") as its own."""
    template = {}
    for name, end in shows.items():
        inner, inner_field = end.split(".")
        template[name] = {**field(name, "Message"), "proxy": {"id": inner, "field": inner_field}, **body.pop(name, {})}
    outputs = []
    for name, end in gives.items():
        inner, port = end.split(".")
        outputs.append(output(name, "Message", proxy={"id": inner, "name": port}))
    raw = node(group_id, "GroupNode", code=None, **body)
    flow = {"data": {"nodes": list(inside), "edges": [wire(text, *inside) for text in wires]}}
    raw["data"]["node"] |= {"template": template, "outputs": outputs, "flow": flow}
    return raw


def test_the_nodes_of_a_group_move_up_and_its_wires_with_them() -> None:
    box = group("G", node("x"), node("y"), wires=("x.out > y.in",), shows={"x_in": "x.in"}, gives={"y_out": "y.out"})
    flow = flow_of(node("a"), box, node("b"), wires=("a.out > G.x_in", "G.y_out > b.in"))

    assert [n.id for n in flow.nodes] == ["a", "b", "x", "y"]
    ends = {(e.source, e.output, e.target, e.field) for e in flow.edges}
    assert ends == {("a", "out", "x", "in"), ("x", "out", "y", "in"), ("y", "out", "b", "in")}
    assert not list(check_wiring(flow))


def test_a_group_inside_a_group_is_taken_apart_too() -> None:
    inner = group("I", node("x"), shows={"i_in": "x.in"}, gives={"i_out": "x.out"})
    outer = group("O", inner, shows={"o_in": "I.i_in"}, gives={"o_out": "I.i_out"})
    flow = flow_of(node("a"), outer, node("b"), wires=("a.out > O.o_in", "O.o_out > b.in"))

    assert [n.id for n in flow.nodes] == ["a", "b", "x"]
    assert [(e.source, e.output, e.target, e.field) for e in flow.edges] == [
        ("a", "out", "x", "in"),
        ("x", "out", "b", "in"),
    ]


@pytest.mark.parametrize(
    "other", [group("G", node("y"), shows={}, gives={}), node("G"), group("O", node("G"), shows={}, gives={})]
)
def test_a_group_with_the_id_of_another_one_or_of_a_node_is_an_error(other: Raw) -> None:
    flow = flow_of(group("G", node("x"), shows={}, gives={}), other)

    assert [(finding.code, finding.node) for finding in check_wiring(flow)] == [("duplicate_node", "G")]


def test_a_group_may_stand_for_what_lies_deep_inside() -> None:
    inmost = group("I", node("x"), shows={"i_in": "x.in"}, gives={})
    outmost = group("O", group("M", inmost, shows={}, gives={}), shows={"o_in": "I.i_in"}, gives={})

    flow = flow_of(node("a"), outmost, wires=("a.out > O.o_in",))

    assert [(e.source, e.target, e.field) for e in flow.edges] == [("a", "x", "in")]
    assert flow.groups[0].fields == {"o_in": ("x", "in")}


def test_a_group_stands_for_nothing_outside_of_it() -> None:
    first = group("G", node("H"), shows={"in": "H.in"}, gives={"out": "H.out"})
    second = group("H", node("x"), shows={"in": "x.in"}, gives={"out": "x.out"})
    flow = flow_of(node("a"), first, second, node("b"), wires=("a.out > G.in", "G.out > b.in"))

    assert {(e.source, e.output, e.target, e.field) for e in flow.edges} == {
        ("a", "out", "H", "in"),
        ("H", "out", "b", "in"),
    }
    assert {box.id: dict(box.fields) for box in flow.groups} == {"G": {"in": ("H", "in")}, "H": {"in": ("x", "in")}}


def test_groups_that_stand_for_each_other_are_left() -> None:
    first = group("G", node("H"), shows={"in": "H.in"}, gives={})
    second = group("H", node("G"), shows={"in": "G.in"}, gives={"out": "G.out"})

    [edge] = flow_of(first, second, node("b"), wires=("H.out > b.in",)).edges

    assert (edge.source, edge.output) == ("G", "out")


def test_the_value_set_on_the_group_counts() -> None:
    flow = flow_of(group("G", node("x"), shows={"x_in": "x.in"}, gives={}, x_in={"value": "outer"}))

    assert flow.by_id["x"].fields["in"].value == "outer"  # type: ignore[index]  # a test's plain id


def test_a_field_of_a_group_cannot_turn_source_into_text() -> None:
    box = group("G", node("x"), shows={"shown": "x.code"}, gives={}, shown={"value": "y = 2", "type": "str"})

    [inner] = flow_of(box).nodes

    assert inner.code == "y = 2"
    assert inner.raw["data"]["node"]["template"]["code"]["type"] == "code"


def test_a_frozen_group_freezes_its_nodes() -> None:
    [inner] = flow_of(group("G", node("x"), shows={}, gives={}, frozen=True)).nodes

    assert inner.frozen
    assert inner.raw["parent_node_id"] == "G"


def test_an_output_without_a_proxy_is_found_by_its_name() -> None:
    doc = document(group("G", node("x"), shows={}, gives={}), node("b"), wires=("G.x_out > b.in",))

    [edge] = read(doc).edges

    assert (edge.source, edge.output) == ("x", "out")


def test_of_outputs_of_one_name_the_first_that_says_its_port_counts() -> None:
    box = group("G", node("x"), node("y"), shows={}, gives={})
    said = [output("g", proxy=proxy) for proxy in ({"id": "y", "name": "out"}, {"id": "x", "name": "out"})]
    box["data"]["node"]["outputs"] = [output("g"), 5, {"name": []}, output("g", proxy=[]), *said]

    [edge] = flow_of(box, node("b"), wires=("G.g > b.in",)).edges

    assert (edge.source, edge.output) == ("y", "out")


def test_a_very_long_name_of_an_output_is_not_taken_apart() -> None:
    name = "x_" + "o" * 200
    box = group("G", node("y"), node("x"), shows={}, gives={})

    [edge] = flow_of(box, node("b"), wires=(f"G.{name} > b.in",)).edges

    assert edge.source == "y"


def test_an_output_of_no_known_name_is_the_last_nodes() -> None:
    box = group("G", node("x"), node("y"), wires=("x.out > y.in",), shows={}, gives={})
    doc = document(box, node("b"), wires=("G.gone_out > b.in",))
    doc["data"]["edges"][0]["data"]["sourceHandle"]["dataType"] = "GroupNode"

    flow = read(doc)

    assert ("y", "out", "b", "in") in {(e.source, e.output, e.target, e.field) for e in flow.edges}


def test_a_wire_to_no_field_of_the_group_is_a_finding() -> None:
    box = group("G", node("x"), shows={"x_in": "x.in"}, gives={})
    flow = flow_of(node("a"), box, wires=("a.out > G.other",))

    assert [(f.code, f.node) for f in check_wiring(flow)] == [("dangling_edge", "a")]


@pytest.mark.parametrize(
    ("box", "said"),
    [
        (group("G", shows={}, gives={}) | {"data": {"node": {"flow": 5}}}, "Group `G`, `flow`: expected an object"),
        (
            group("G", node("x"), shows={"a": "x.gone"}, gives={}),
            "Group `G`, `template.a.proxy.gone`: expected an object",
        ),
        (group("G", node("x"), node("x"), shows={}, gives={}), "Group `G` holds two nodes with the id `x`"),
        (group("G", {**node("x"), "data": 5}, shows={}, gives={}), "Node `x`, `data`: expected an object"),
    ],
)
def test_a_broken_group_is_named(box: Raw, said: str) -> None:
    with pytest.raises(FlowFormatError) as caught:
        read(document(box))

    assert said in caught.value.message


def test_a_group_without_any_node_behind_its_output_is_refused() -> None:
    doc = document(group("G", shows={}, gives={}), node("b"), wires=("G.x_out > b.in",))

    with pytest.raises(FlowFormatError, match="no node stands behind output `x_out`"):
        read(doc)


def test_nodes_in_groups_count() -> None:
    boxes = [group(f"G{i}", *(node(f"n{i}-{j}") for j in range(50)), shows={}, gives={}) for i in range(50)]

    with pytest.raises(FlowTooLargeError, match="more than 2,000 nodes"):
        read({"nodes": boxes})

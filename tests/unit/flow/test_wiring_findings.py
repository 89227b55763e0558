"""Findings about wires and values."""

from __future__ import annotations

from dataclasses import replace

import pytest

import flowray
from flowray.flow.check import Finding, check_attributes, check_wiring, in_short
from flowray.flow.types import Flow
from tests.unit.build import Raw, dag_of, field, flow_of, node, output


def found(flow: Flow) -> list[tuple[str, str, str | None, str | None]]:
    return [(finding.severity, finding.code, finding.node, finding.field) for finding in check_wiring(flow)]


def only(flow: Flow) -> Finding:
    [finding] = check_wiring(flow)
    return finding


def loop(node_id: str = "loop") -> Raw:
    outputs = (output("item", "Data", "Message", allows_loop=True), output("done", "Table"))
    return node(node_id, "LoopComponent", fields=(field("data", "Table", "Message"),), outputs=outputs)


def test_a_sound_flow_has_no_findings() -> None:
    assert found(dag_of(a="", b="a", c="a b")) == []


def test_a_flow_of_nothing_is_an_error() -> None:
    assert found(flow_of()) == [("error", "no_nodes", None, None)]


@pytest.mark.parametrize("name", ["a b/c@d", "naïve", "a\n", "a" * 257])
def test_an_endpoint_name_that_cannot_be_published_is_an_error(name: str) -> None:
    first = flowray.check(flow_of(node("a"), endpoint_name=name))[0]

    assert (first.severity, first.code) == ("error", "bad_endpoint_name")


@pytest.mark.parametrize("name", [None, "", "my-flow_2", "a" * 256])
def test_an_endpoint_name_that_can_be_published_is_none(name: str | None) -> None:
    assert list(check_attributes(flow_of(node("a"), endpoint_name=name))) == []


def test_two_nodes_of_one_id_are_an_error() -> None:
    assert only(flow_of(node("a"), node("a"))).message == "2 nodes have the id `a`."


def test_a_wire_from_or_to_nowhere_is_an_error() -> None:
    flow = flow_of(node("a"), wires=("gone.out > a.in", "a.out > lost.in"))

    assert found(flow) == [("error", "dangling_edge", "a", "in"), ("error", "dangling_edge", "a", "out")]


def test_a_wire_from_an_output_that_is_not_there_is_an_error() -> None:
    finding = only(flow_of(node("a"), node("b"), wires=("a.oout > b.in",)))

    assert (finding.severity, finding.code, finding.node) == ("error", "unknown_output", "a")
    assert finding.message.endswith("Did you mean `out`?")


def test_a_wire_to_a_field_that_is_not_there_is_a_warning() -> None:
    assert found(flow_of(node("a"), node("b"), wires=("a.out > b.gone",))) == [
        ("warning", "unknown_field", "b", "gone")
    ]


def test_only_the_first_of_many_wires_that_lead_nowhere_get_a_hint() -> None:
    many = node("a", outputs=tuple(output(f"out-{number}", "Message") for number in range(100)))
    wires = tuple(f"a.oout-{number} > b.in" for number in range(20))

    hinted = ["Did you mean" in finding.message for finding in check_wiring(flow_of(many, node("b"), wires=wires))]

    assert hinted == [True] * 5 + [False] * 15


def test_an_errors_message_says_the_first_findings_and_how_many_more_there_are() -> None:
    findings = [Finding(severity="error", code="c", message=f"{number}.") for number in range(2_000)]

    assert in_short(findings) == "0. 1. 2. 3. 4. And 1,995 more."
    assert in_short(findings[:5]) == "0. 1. 2. 3. 4."


def test_types_that_do_not_fit_are_an_error() -> None:
    finding = only(
        flow_of(node("a", outputs=(output("out", "Tool"),)), node("b"), wires=("a.out > b.in",)),
    )

    assert (finding.severity, finding.code, finding.node, finding.field) == ("error", "type_clash", "b", "in")
    assert finding.message == "`a` gives Tool at `out`, but `in` takes Message."


def test_of_very_many_types_that_do_not_fit_the_first_are_said() -> None:
    source = node("a", outputs=(output("out", *(f"T{number}" for number in range(100))),))

    finding = only(flow_of(source, node("b"), wires=("a.out > b.in",)))

    assert finding.message == "`a` gives T0 or T1 or T2 or T3 or T4 or another type at `out`, but `in` takes Message."


def test_the_old_and_the_new_name_of_a_type_fit() -> None:
    for old, new in (("Data", "JSON"), ("DataFrame", "Table")):
        for given, taken in ((old, new), (new, old)):
            source = node("a", outputs=(output("out", given),))
            target = node("b", fields=(field("in", taken),))
            assert found(flow_of(source, target, wires=("a.out > b.in",))) == []


def test_a_plug_that_no_longer_is_what_its_port_gives_is_an_error() -> None:
    doc_source, target = node("a", outputs=(output("out", "Message"),)), node("b")
    flow = flow_of(node("a", outputs=(output("out", "Tool"),)), target, wires=("a.out > b.in",))
    good = flow_of(doc_source, target, wires=("a.out > b.in",))
    mixed = Flow(name="mixed", nodes=flow.nodes, edges=good.edges)

    assert [finding.code for finding in check_wiring(mixed)] == ["type_clash"]


def test_a_circle_without_a_loop_is_an_error() -> None:
    finding = only(flow_of(node("a"), node("b"), node("c"), wires=("a.out > b.in", "b.out > c.in", "c.out > b.in")))

    assert finding.code == "cycle"
    assert finding.message.startswith("`c` -> `b` -> `c` wait for each other")


def test_of_a_long_circle_some_are_named_and_the_others_counted() -> None:
    names = [f"n{number}" for number in range(8)]
    wires = tuple(f"{one}.out > {other}.in" for one, other in zip(names, [*names[1:], names[0]], strict=True))

    message = only(flow_of(*map(node, names), wires=wires)).message

    assert " -> 3 more -> " in message
    assert message.count("`") == 2 * 6


def test_a_node_that_waits_for_itself_is_an_error() -> None:
    assert only(flow_of(node("a"), wires=("a.out > a.in",))).code == "cycle"


def test_a_loop_may_wait_for_its_own_body() -> None:
    flow = flow_of(node("a"), loop(), node("b"), wires=("a.out > loop.data", "loop.item > b.in", "b.out >> loop.item"))

    assert found(flow) == []


def test_a_circle_inside_the_body_of_a_loop_is_an_error() -> None:
    wires = ("loop.item > b.in", "b.out > c.in", "c.out > b.in", "c.out >> loop.item")

    assert [code for _, code, _, _ in found(flow_of(loop(), node("b"), node("c"), wires=wires))] == ["cycle"]


def test_a_wire_back_to_what_is_no_loop_is_an_error() -> None:
    flow = flow_of(node("a"), node("b"), wires=("a.out > b.in", "b.out >> a.out"))

    assert ("error", "no_loop_output", "a", "out") in found(flow)


def test_a_missing_value_is_a_warning_since_a_tweak_can_bring_it() -> None:
    flow = flow_of(node("a", fields=(field("model", required=True, type="model"),)))

    assert found(flow) == [("warning", "missing_required", "a", "model")]


def test_a_missing_wire_is_an_error_where_only_a_wire_will_do() -> None:
    flow = flow_of(node("a", fields=(field("tools", "Tool", required=True, type="other"),)))

    assert found(flow) == [("error", "missing_required", "a", "tools")]


def test_what_is_wired_stored_switched_off_or_filled_by_an_agent_is_not_missing() -> None:
    fields = (
        field("wired", "Message", required=True),
        field("stored", required=True, load_from_db=True),
        field("off", required=True, show=False),
        field("argument", required=True, tool_mode=True),
        field("zero", required=True, type="int", value=0),
    )
    tool = node("b", fields=fields, tool_mode=True)

    assert found(flow_of(node("a"), tool, node("c"), wires=("a.out > b.wired", "b.out > c.in"))) == []


def test_a_tool_that_nobody_uses_is_a_warning() -> None:
    flow = flow_of(node("a", fields=(field("x", required=True),), tool_mode=True))

    assert found(flow) == [("warning", "unused_tool", "a", None)]


def test_a_wire_that_says_another_type_than_both_its_ports_is_told_apart_from_ports_that_do_not_fit() -> None:
    flow = flow_of(node("a"), node("b"), wires=("a.out > b.in",))
    stale = replace(flow, edges=(replace(flow.edges[0], source_types=("Table",)),))

    finding = only(stale)

    assert (finding.code, finding.node, finding.field) == ("type_clash", "b", "in")
    assert finding.message == (
        "The wire from `out` of `a` says that it brings Table, but `in` takes Message. Draw it again."
    )

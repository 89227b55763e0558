"""What another release would change in a flow: decided node by node, and no wire is lost unsaid."""

from __future__ import annotations

from typing import Any

import pytest

from flowray.component.migrated import LostEdgesError, migrated
from flowray.component.release import Release, by_all_names
from flowray.component.upgrade import NodeUpgrade, judged
from flowray.errors import InvalidRequestError
from flowray.flow.langflow import read
from tests.unit.build import Raw, document, field, node, note, output

NEW = "x = 2"


def component(*, fields: tuple[Raw, ...] = (), outputs: tuple[Raw, ...] = (), code: str = NEW, **body: Any) -> Raw:
    """A component of the new release; field `in` and output `out` as nodes have them, unless it says otherwise."""
    made = node("x", fields=fields, outputs=outputs, code=code, **body)
    found: Raw = made["data"]["node"]
    return found


def release(**components: Raw) -> Release:
    return Release(version="2.0", components=by_all_names(components.items()))


def only(flow: Raw, **components: Raw) -> NodeUpgrade:
    """What would become of the node `a`."""
    return next(one for one in judged(read(flow), release(**components)) if one.node == "a")


def test_a_node_with_the_releases_source_is_the_same() -> None:
    assert only(document(node("a")), Plain=component(code="x = 1")).verdict == "same"


def test_a_node_that_the_release_does_not_know_keeps_its_own() -> None:
    assert only(document(node("a"))).verdict == "unknown"


def test_a_custom_component_is_its_authors() -> None:
    assert only(document(node("a", "CustomComponent")), CustomComponent=component()).verdict == "same"


def test_a_component_is_known_by_its_earlier_name() -> None:
    assert only(document(node("a", "Prompt")), **{"Prompt Template": component()}).verdict == "safe"


def test_what_somebody_edited_is_not_replaced_unasked() -> None:
    assert only(document(node("a", edited=True)), Plain=component()).verdict == "edited"


def test_a_new_field_with_a_value_is_added() -> None:
    fields = (field("in", "Message", list=True), field("temperature", value=0.1))
    flow = document(node("a"))
    found = only(flow, Plain=component(fields=fields))
    assert (found.verdict, found.adds) == ("safe", ("temperature",))
    changed = migrated(flow, [found], release(Plain=component(fields=fields)))
    (after,) = read(changed.document).nodes
    assert (after.code, after.fields["temperature"].value) == (NEW, 0.1)
    assert read(flow).nodes[0].code == "x = 1"


BREAKING = {
    "the output is gone": {"outputs": (output("other", "Message"),)},
    "the output gives something else": {"outputs": (output("out", "Data"),)},
    "the output is made otherwise": {"outputs": (output("out", "Message", method="else"),)},
    "the field takes something else": {"fields": (field("in", "Data", list=True),)},
    "a new field needs a value": {"fields": (field("in", "Message"), field("must", required=True))},
}


@pytest.mark.parametrize("change", BREAKING)
def test_what_does_not_fit_is_not_taken(change: str) -> None:
    there = release(Plain=component(**BREAKING[change]))  # type: ignore[arg-type] # as written above
    flow = document(node("a"))
    found = judged(read(flow), there)
    assert [(one.verdict, bool(one.reasons)) for one in found] == [("breaking", True)]
    assert migrated(flow, found, there).document == flow


def test_a_wire_into_a_field_that_is_gone_makes_it_breaking_where_lfx_loses_it() -> None:
    flow = document(node("a"), node("b", "Other"), wires=("b.out > a.in",))
    found = only(flow, Plain=component(fields=(field("else", "Message"),)))
    assert (found.verdict, found.breaks) == ("breaking", ("edge b.out > a.in",))


def test_a_prompts_own_fields_are_no_fields_that_are_gone() -> None:
    own: Any = {"custom_fields": {"template": ["topic"]}}
    flow = document(
        node("a", fields=(field("in", "Message", list=True), field("topic", "Message")), **own),
        node("b", "Other"),
        wires=("b.out > a.topic",),
    )
    assert only(flow, Plain=component(custom_fields={})).verdict == "safe"


def test_a_tool_stays_safe_as_long_as_its_component_can_be_one() -> None:
    tool = node("a", outputs=(output("component_as_tool", "Tool"),))
    for mode, verdict in ((True, "safe"), (False, "breaking")):
        there = component(fields=(field("in", "Message", list=True, tool_mode=mode),))
        assert only(document(tool), Plain=there).verdict == verdict


def test_two_ends_that_fit_alone_and_not_together_are_both_breaking() -> None:
    either = ("Message", "Data")
    flow = document(
        node("a", outputs=(output("out", "Message"),)),
        node("b", "Other", fields=(field("in", *either),)),
        wires=("a.out > b.in",),
    )
    there = release(
        Plain=component(outputs=(output("out", "Message", "Text"),)),
        Other=component(fields=(field("in", *either, "Text"),)),
    )
    assert [one.verdict for one in judged(read(flow), there)] == ["safe", "safe"]


def test_a_wire_that_would_be_lost_is_refused_unless_said() -> None:
    there = release(Plain=component(outputs=(output("other", "Message"),)), Other=component(code="x = 1"))
    flow = document(node("a"), node("b", "Other"), wires=("a.out > b.in",))
    found = judged(read(flow), there)
    with pytest.raises(LostEdgesError, match=r"a\.out > b\.in"):
        migrated(flow, found, there, also=["a"])
    changed = migrated(flow, found, there, also=["a"], drop_edges=True)
    after = read(changed.document)
    assert [(edge.source, edge.field) for edge in changed.lost] == [("a", "in")]
    assert (after.edges, [one.name for one in after.by_id[after.nodes[0].id].outputs]) == ((), ["other"])


def test_what_is_asked_for_keeps_the_values_it_has() -> None:
    fields = (field("in", "Data", list=True), field("must", required=True))
    flow = document(node("a", fields=(field("in", "Message", list=True, value="mine"),)))
    there = release(Plain=component(fields=fields))
    changed = migrated(flow, judged(read(flow), there), there, also=["a"])
    (after,) = read(changed.document).nodes
    assert (after.code, after.fields["in"].value, after.fields["in"].input_types) == (NEW, "mine", ("Data",))


def test_a_node_that_cannot_be_changed_is_not_passed_over() -> None:
    with pytest.raises(InvalidRequestError, match="`b` is no node"):
        migrated(document(node("a")), [], release(), also=["b"])


def test_nodes_inside_groups_are_changed_where_they_are() -> None:
    inner = {"data": {"nodes": [node("a")], "edges": []}}
    group = {"id": "g", "data": {"id": "g", "type": "Group", "node": {"flow": inner, "template": {}, "outputs": []}}}
    flow = document(group)
    there = release(Plain=component())
    changed = migrated(flow, judged(read(flow), there), there)
    assert changed.document["data"]["nodes"][0]["data"]["node"]["flow"]["data"]["nodes"][0]["id"] == "a"
    assert read(changed.document).nodes[0].code == NEW


@pytest.mark.parametrize("odd", [{**note(), "data": None}, {**note(), "data": []}, {**note(), "data": [1]}, note("a")])
def test_notes_are_left_as_they_are(odd: Raw) -> None:
    flow, there = document(node("a"), odd), release(Plain=component())

    changed = migrated(flow, judged(read(flow), there), there).document["data"]["nodes"]

    assert changed[0]["data"]["node"]["template"]["code"]["value"] == NEW
    assert changed[1] == odd

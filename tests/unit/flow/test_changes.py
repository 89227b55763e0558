"""What is different between two versions of a flow: all that the digest counts, and nothing else."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowray.flow.changes import SECRET, changes
from flowray.flow.digest import digest
from flowray.flow.langflow import read
from flowray.flow.types import Flow
from tests.unit.build import Raw, document, field, node, output
from tests.unit.flow.test_digest import OTHER, SAME

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aé", max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=2),
    max_leaves=4,
)
FIELDS = st.dictionaries(
    st.sampled_from(["value", "show", "advanced", "options", "load_from_db"]), JSON, max_size=3
).map(lambda facts: {**field("in", "Message", list=True), **facts})
NODES = st.builds(
    lambda entry, code, extra: node("a", fields=(entry,), code=code, **extra),
    FIELDS,
    st.sampled_from(["x = 1", "x = 2", None]),
    st.dictionaries(st.sampled_from(["frozen", "tool_mode", "pinned", "made_up"]), st.booleans(), max_size=2),
)


@st.composite
def drawn_flows(draw: st.DrawFn) -> Flow:
    nodes = (draw(NODES), *(node(name) for name in draw(st.sets(st.sampled_from("bc")))))
    names = {one["id"] for one in nodes}
    wires = draw(st.sets(st.sampled_from(["a.out > b.in", "b.out > c.in", "a.out > c.in"])))
    held = tuple(wire for wire in sorted(wires) if {wire[0], wire[8]} <= names)
    own = draw(st.sampled_from([None, {"record": True}, {"record": 1}]))
    flow = document(*nodes, wires=held)
    if own is not None:
        flow["data"]["flowray"] = own
    return read(flow)


@settings(max_examples=150)
@given(drawn_flows(), drawn_flows())
def test_there_is_a_change_exactly_when_the_digest_is_another(one: Flow, other: Flow) -> None:
    assert bool(changes(one, other)) == (digest(one) != digest(other))


def pair(change: Any) -> tuple[Flow, Flow]:
    before = document(node("a"), node("b"), node("n"), wires=("a.out > b.in",))
    after = copy.deepcopy(before)
    change(after)
    return read(before), read(after)


@pytest.mark.parametrize("change", SAME)
def test_the_look_of_a_flow_is_no_change(change: str) -> None:
    assert not changes(*pair(SAME[change])) or change == "no note"


@pytest.mark.parametrize("change", OTHER)
def test_the_meaning_of_a_flow_is_one(change: str) -> None:
    assert changes(*pair(OTHER[change]))


def template(flow: Raw, index: int = 0) -> Any:
    return flow["data"]["nodes"][index]["data"]["node"]["template"]


def test_a_value_is_told_by_its_field() -> None:
    before, after = pair(lambda flow: template(flow)["in"].update(value="new"))
    (found,) = changes(before, after).nodes
    assert (found.node, found.kind, found.source) == ("a", "changed", None)
    assert [(one.what, one.before, one.after) for one in found.changes] == [("in", "", "new")]


def test_other_source_is_told_by_its_digests() -> None:
    before, after = pair(lambda flow: template(flow)["code"].update(value="x = 2"))
    (found,) = changes(before, after).nodes
    assert found.changes == ()
    assert found.source == (before.nodes[0].code_digest, after.nodes[0].code_digest)


def test_a_wire_that_is_plugged_in_elsewhere_went_and_came() -> None:
    ends = (output("out", "Message"), output("second", "Message"))
    nodes = (node("a", outputs=ends), node("b"))
    found = changes(*(read(document(*nodes, wires=(wire,))) for wire in ("a.out > b.in", "a.second > b.in")))
    assert [(one.kind, one.output) for one in found.edges] == [("removed", "out"), ("added", "second")]


def test_a_node_that_came_or_went_is_told_whole() -> None:
    found = changes(read(document(node("a"))), read(document(node("b", "Other"))))
    assert [(one.node, one.component, one.kind) for one in found.nodes] == [
        ("a", "Plain", "removed"),
        ("b", "Other", "added"),
    ]


@pytest.mark.parametrize(
    "entry",
    [
        {"password": True},
        {"name": "openai_api_key"},
        {"name": "url", "value": "postgres://me:hunter2@db/x"},
        {"name": "headers", "type": "table", "value": [{"key": "Authorization", "value": "Bearer hunter2"}]},
        {"name": "mcp_server", "type": "mcp", "value": {"config": {"env": {"K": "hunter2"}}}},
    ],
)
def test_a_secret_is_changed_and_not_shown(entry: Raw) -> None:
    was = {**field("api"), "value": "hunter2", **entry}
    now = {**was, "value": "none" if isinstance(was["value"], str) else []}
    found = changes(*(read(document(node("a", fields=(one,)))) for one in (was, now)))
    assert "hunter2" not in repr(found)
    assert [one.before for one in found.nodes[0].changes] == [SECRET]


@pytest.mark.parametrize(
    "entry", [field("max_tokens", value="100"), field("api_key", value="OPENAI_API_KEY", load_from_db=True)]
)
def test_what_is_no_secret_is_shown(entry: Raw) -> None:
    now = {**entry, "value": "other"}
    found = changes(*(read(document(node("a", fields=(one,)))) for one in (entry, now)))
    assert [one.before for one in found.nodes[0].changes] == [entry["value"]]

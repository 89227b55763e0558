"""What is different between two versions of a flow: all that the digest counts, and nothing else."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from flowray.flow.changes import SECRET, changes
from flowray.flow.langflow import read
from flowray.flow.types import Flow
from tests.unit.build import Raw, document, field, node, output
from tests.unit.flow.test_digest import OTHER, SAME


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


def test_wires_into_one_field_that_changed_places_are_told() -> None:
    nodes = (node("a"), node("b"), node("c"))
    orders = (("a.out > c.in", "b.out > c.in"), ("b.out > c.in", "a.out > c.in"))
    found = changes(*(read(document(*nodes, wires=wires)) for wires in orders))
    assert [(one.kind, one.source) for one in found.edges] == [("changed", "a"), ("changed", "b")]


@pytest.mark.parametrize(
    "change", [lambda flow: template(flow).update(odd=True), lambda flow: template(flow)["code"].update(value=None)]
)
def test_what_python_takes_for_the_same_is_told_where_the_digest_tells_it(change: Any) -> None:
    before = document(node("a"))
    template(before)["odd"] = 1
    del template(before)["code"]["value"]
    after = copy.deepcopy(before)
    change(after)
    assert changes(read(before), read(after))


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

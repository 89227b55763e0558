"""The digest names what a flow does, not how it looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flowray.flow.digest import digest
from flowray.flow.langflow import read
from tests.unit.build import Raw, document, node, note


def _document() -> Raw:
    return document(node("a"), node("b"), note(), wires=("a.out > b.in",))


def _body(doc: Raw) -> Any:
    return doc["data"]["nodes"][0]["data"]["node"]


SAME: dict[str, Callable[[Raw], object]] = {
    "a moved node": lambda doc: doc["data"]["nodes"][0].update(position={"x": 9, "y": 9}, positionAbsolute={"x": 9}),
    "a selected node": lambda doc: doc["data"]["nodes"][0].update(selected=True, dragging=True),
    "a measured node": lambda doc: doc["data"]["nodes"][0].update(width=10, height=3, measured={"width": 10}),
    "another view": lambda doc: doc["data"].update(viewport={"x": 5, "y": 5, "zoom": 2}),
    "no note": lambda doc: doc["data"]["nodes"].pop(),
    "a time stamp": lambda doc: _body(doc).update(last_updated="2026-01-01", lf_version="1.13.0"),
    "another order": lambda doc: doc["data"]["nodes"].reverse(),
    "another name": lambda doc: doc.update(name="Other", description="other", id="x", tags=["y"]),
    "a styled wire": lambda doc: doc["data"]["edges"][0].update(animated=True, selected=True, id="other"),
}
OTHER: dict[str, Callable[[Raw], object]] = {
    "a value": lambda doc: _body(doc)["template"]["in"].update(value="x"),
    "a field's nature": lambda doc: _body(doc)["template"]["in"].update(load_from_db=True),
    "the source": lambda doc: _body(doc)["template"]["code"].update(value="x = 2"),
    "the component": lambda doc: doc["data"]["nodes"][0]["data"].update(type="Other"),
    "tool mode": lambda doc: _body(doc).update(tool_mode=True),
    "a field nobody knows": lambda doc: _body(doc).update(made_up=1),
    "no wire": lambda doc: doc["data"]["edges"].pop(),
    "a wire's types": lambda doc: doc["data"]["edges"][0]["data"]["sourceHandle"].update(output_types=["Data"]),
    "one node more": lambda doc: doc["data"]["nodes"].append(node("c")),
}


@pytest.mark.parametrize("change", SAME)
def test_the_look_of_a_flow_does_not_count(change: str) -> None:
    doc = _document()
    before = digest(read(doc))

    SAME[change](doc)

    assert digest(read(doc)) == before


@pytest.mark.parametrize("change", OTHER)
def test_the_meaning_of_a_flow_counts(change: str) -> None:
    doc = _document()
    before = digest(read(doc))

    OTHER[change](doc)

    assert digest(read(doc)) != before


def test_a_digest_is_a_full_sha256_and_stays_what_it_is() -> None:
    assert digest(read(_document())) == "71b51534761f901546898521bc60793328fa3c4f4353cce98fad7b8a68369d9e"


def _two_into_one(*sources: str) -> Raw:
    return document(node("a"), node("b"), node("c"), wires=tuple(f"{source}.out > c.in" for source in sources))


def test_the_order_of_the_wires_into_one_field_counts() -> None:
    assert digest(read(_two_into_one("a", "b"))) != digest(read(_two_into_one("b", "a")))


def test_the_order_of_wires_into_different_fields_does_not_count() -> None:
    doc = document(node("a"), node("b"), node("c"), wires=("a.out > b.in", "b.out > c.in"))
    before = digest(read(doc))

    doc["data"]["edges"].reverse()

    assert digest(read(doc)) == before

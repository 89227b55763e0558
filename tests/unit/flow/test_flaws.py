"""Findings about nodes that read well and that lfx could not build."""

from __future__ import annotations

from typing import Any

import pytest
from lfx.utils.constants import DIRECT_TYPES

from flowray.flow.check import check_wiring
from flowray.flow.flaws import FIELD_TYPES
from flowray.flow.langflow import read
from tests.unit.build import document, field, node


def found(path: str, value: Any, *, wires: tuple[str, ...] = ()) -> list[tuple[str, str, str | None, str | None]]:
    """What is said of a sound flow with the value at the path of its node `a` exchanged."""
    doc = document(node("a"), node("b"), wires=wires)
    place: Any = doc["data"]["nodes"][0]["data"]
    *way, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    for part in way:
        place = place[part]
    place[last] = value
    return [(finding.severity, finding.code, finding.node, finding.field) for finding in check_wiring(read(doc))]


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ("id", None, "data.id"),
        ("id", 5, "data.id"),
        ("id", [], "data.id"),
        ("node/template/in/type", None, "in.type"),
        ("node/template/in/type", "s", "in.type"),
        ("node/template/in/input_types", None, "in.input_types"),
        ("node/outputs", None, "outputs"),
        ("node/outputs/0/types", None, "outputs.0.types"),
        ("node/outputs/0/method", None, "outputs.0.method"),
    ],
)
def test_a_shape_that_lfx_takes_apart_blindly_is_an_error_at_its_place(path: str, value: Any, place: str) -> None:
    assert found(path, value) == [("error", "bad_node", "a", place)]


def test_a_wire_from_a_node_without_outputs_is_an_error() -> None:
    assert found("node/outputs", [], wires=("a.out > b.in",)) == [("error", "unknown_output", "a", "out")]


def test_a_field_that_is_wired_or_not_shown_may_have_any_type() -> None:
    odd = field("in", "Message", type="Embeddings")
    hidden = field("x", type="Embeddings", show=False)
    flow = read(document(node("a"), node("b", fields=(odd, hidden)), wires=("a.out > b.in",)))

    assert list(check_wiring(flow)) == []


def test_the_types_of_fields_are_those_of_lfx() -> None:
    assert {*DIRECT_TYPES, "other", "file"} == FIELD_TYPES

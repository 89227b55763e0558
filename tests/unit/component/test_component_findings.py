"""Findings about the components behind the nodes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flowray.component.check import check
from flowray.component.claims import claimed
from flowray.component.spec import ComponentSpec
from flowray.flow.types import Flow
from tests.unit.build import field, flow_of, node


def found(flow: Flow, catalog: dict[str, ComponentSpec] | None = None) -> list[tuple[str, str, str | None, str | None]]:
    return [(finding.severity, finding.code, finding.node, finding.field) for finding in check(flow, catalog)]


def catalog_of(flow: Flow, **changes: str) -> dict[str, ComponentSpec]:
    specs = [replace(claimed(known), **changes) for known in flow.nodes]  # type: ignore[arg-type]  # only texts are changed
    return {spec.digest: spec for spec in specs}


def test_a_component_nobody_knows_is_an_error() -> None:
    catalog = catalog_of(flow_of(node("a", "ChatInput")))

    [finding] = check(flow_of(node("b", "ChatInpt", code=None)), catalog)

    assert (finding.severity, finding.code, finding.node) == ("error", "unknown_component", "b")
    assert finding.message.endswith("no such component, and it brings no source. Did you mean `ChatInput`?")


def test_a_flow_of_many_components_that_nobody_knows_looks_at_so_many_names_for_its_hints() -> None:
    catalog = catalog_of(flow_of(*(node(f"a{number}", f"Chat{number}", code=f"x = {number}") for number in range(200))))

    findings = check(flow_of(*(node(f"b{number}", "Chat", code=None) for number in range(20))), catalog)

    assert sum("Did you mean" in finding.message for finding in findings) == 3


def test_a_component_that_is_known_or_brings_its_source_is_fine() -> None:
    catalog = catalog_of(flow_of(node("a", "ChatInput")))

    assert found(flow_of(node("a", "ChatInput", code=None), node("b", "Mine")), catalog) == []


def test_without_a_catalog_no_component_is_unknown() -> None:
    assert found(flow_of(node("a", "Mine", code=None))) == []


@pytest.mark.parametrize(
    "source",
    [
        "def f(:",
        "x = (",
        "a\0b",
        "(" * 5_000 + ")" * 5_000,
        "-" * 200_000 + "1",
        "x" + ".y" * 100_000,
        "1" + "+1" * 100_000,
    ],
)
def test_source_that_does_not_parse_is_an_error(source: str) -> None:
    assert found(flow_of(node("a", code=source))) == [("error", "broken_component", "a", "code")]


@pytest.mark.parametrize("code", [None, {"type": "code", "value": None}])
def test_a_source_that_is_null_is_an_error(code: Any) -> None:
    raw = node("a")
    raw["data"]["node"]["template"]["code"] = code

    assert found(flow_of(raw)) == [("error", "broken_component", "a", "code")]


@pytest.mark.filterwarnings("error")
def test_a_doubtful_escape_is_no_error() -> None:
    assert found(flow_of(node("a", code='x = "\\d"'))) == []


def test_source_the_catalog_knows_is_not_parsed_again() -> None:
    flow = flow_of(node("a", code="def f(:"))

    assert found(flow, catalog_of(flow)) == []


def test_a_component_that_failed_when_it_was_published_is_an_error() -> None:
    flow = flow_of(node("a"))

    [finding] = check(flow, catalog_of(flow, problem="No module named `zebra`."))

    assert finding.message == "The source of `a` is broken: No module named `zebra`."


def test_source_beyond_what_is_parsed_of_a_flow_is_left_to_the_sandbox() -> None:
    long = node("a", code=f"# {'x' * 600_000}")
    assert found(flow_of(long, node("b", code="def"))) == []


def test_needs_that_mean_nothing_are_an_error() -> None:
    assert found(flow_of(node("a", metadata={"flowray": {"gpus": 1}}))) == [("error", "bad_needs", "a", "metadata")]


def test_errors_come_before_warnings() -> None:
    flow = flow_of(node("a", fields=(field("x", required=True),)), node("b", code="def"))

    assert [finding.severity for finding in check(flow)] == ["error", "warning"]

"""What an editor asks, over HTTP. What the sandbox makes of it is tested inside."""

from __future__ import annotations

import pytest

from tests.unit.serve.service import service

CODE = "class Own(Component): ..."


async def test_a_source_is_answered_with_its_node() -> None:
    made = service()
    answer = (await made.http.post("/api/v1/custom_component", json={"code": CODE})).json()
    assert (answer["type"], answer["data"]["display_name"]) == ("Own", "Own")
    assert made.examiner.asked == [("describe", {"code": CODE, "frontend_node": None})]


async def test_a_changed_field_is_answered_with_the_node_it_makes() -> None:
    made = service()
    change = {"code": CODE, "template": {"a": {"value": 1}}, "field": "a", "field_value": 2}
    answer = (await made.http.post("/api/v1/custom_component/update", json=change)).json()
    assert answer["template"] == {"a": {"value": 1}}
    ((job, facts),) = made.examiner.asked
    assert (job, facts["field"], facts["field_value"], facts["tool_mode"]) == ("refresh", "a", 2, False)


async def test_a_flow_in_short_is_answered_with_the_whole_of_it() -> None:
    made = service()
    answer = await made.http.post("/api/v1/flows/expand/", json={"spec": "nodes:"})
    assert answer.json() == {"name": "Drawn"}
    assert made.examiner.asked == [("expand", {"spec": "nodes:"})]


async def test_a_flow_in_short_that_cannot_be_drawn_is_its_author_s_fault() -> None:
    response = await service().http.post("/api/v1/flows/expand/", json={"spec": "raise"})
    assert (response.status_code, response.json()["code"], response.json()["fault"]) == (422, "flow_format", "flow")
    assert response.json()["detail"] == "no such thing"


async def test_a_flow_in_short_of_too_many_nodes_comes_to_no_sandbox() -> None:
    made = service()
    response = await made.http.post("/api/v1/flows/expand/", json={"spec": "nodes:\n" + "A: ChatInput\n" * 6_000})
    assert (response.status_code, response.json()["code"]) == (413, "flow_too_large")
    assert "6,000 nodes; at most 2,000" in response.json()["detail"]
    assert made.examiner.asked == []


@pytest.mark.parametrize("path", ["/api/v1/custom_component", "/api/v1/validate/code"])
async def test_source_that_makes_no_component_is_its_authors_fault(path: str) -> None:
    response = await service().http.post(path, json={"code": "raise"})
    assert (response.status_code, response.json()["code"]) == (400, "component_source")
    assert response.json()["detail"] == "Error building Component: no such thing"


@pytest.mark.parametrize(
    ("path", "lacks"),
    [
        ("custom_component", "code"),
        ("custom_component/update", "template"),
        ("validate/code", "code"),
        ("validate/prompt", "template"),
        ("flows/expand/", "spec"),
    ],
)
async def test_what_is_missing_is_named(path: str, lacks: str) -> None:
    response = await service().http.post(f"/api/v1/{path}", json={})
    assert response.status_code == 422
    assert f"`{lacks}`" in response.json()["detail"]


async def test_a_prompt_without_a_node_needs_no_sandbox() -> None:
    made = service()
    answer = await made.http.post("/api/v1/validate/prompt", json={"name": "template", "template": "Hi {who}"})
    assert answer.json() == {"input_variables": [], "frontend_node": None}
    assert made.examiner.asked == []


async def test_all_components_are_offered_by_category() -> None:
    offered = (await service().http.get("/api/v1/all")).json()
    assert offered["input_output"]["ChatInput"]["display_name"] == "Chat Input"
    assert offered["component_display_names"]["chatinput"]["display_name"] == ["Chat Input"]

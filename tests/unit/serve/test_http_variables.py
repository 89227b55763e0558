"""Variables over HTTP: kept, never shown again, and given to the runs that refer to them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.serve.service import KEYS_BY_ROLE, OTHER_KEY, Service, canvas, drawn, service

VARIABLES = "/api/v1/variables/"
FROM_VARIABLE = {"type": "str", "value": "CRM_TOKEN", "load_from_db": True}


async def kept(made: Service, name: str, value: str, **body: Any) -> dict[str, Any]:
    response = await made.http.post(VARIABLES, json={"name": name, "value": value, **body})
    assert response.status_code == 201, response.text
    variable: dict[str, Any] = response.json()
    return variable


async def test_a_credential_is_never_shown_again_and_a_generic_is() -> None:
    made = service()
    credential = await kept(made, "CRM_TOKEN", "sk-secret")
    await kept(made, "REGION", "eu", type="Generic", default_fields=["region"])

    listed = (await made.http.get(VARIABLES)).json()

    assert [(one["name"], one["type"], one["value"]) for one in listed] == [
        ("CRM_TOKEN", "Credential", None),
        ("REGION", "Generic", "eu"),
    ]
    changed = await made.http.patch(VARIABLES + credential["id"], json={"value": "sk-newer"})
    assert "sk-" not in str(credential) + changed.text
    assert listed[1]["default_fields"] == ["region"]


@pytest.mark.parametrize("body", [{}, {"valu": "sk-newer"}])
async def test_a_change_that_changes_nothing_is_refused(body: dict[str, str]) -> None:
    made = service()
    variable = await kept(made, "CRM_TOKEN", "sk-secret")
    refused = await made.http.patch(VARIABLES + variable["id"], json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert "`value`" in refused.json()["detail"]


async def test_what_the_editor_sends_beside_what_it_changes_is_passed_over() -> None:
    made = service()
    variable = await kept(made, "CRM_TOKEN", "sk-secret")
    sent = ({"id": variable["id"], "category": "Global"}, {"value": "sk-newer", "category": "Global"})
    answers = [await made.http.patch(VARIABLES + variable["id"], json=body) for body in sent]
    assert [answer.status_code for answer in answers] == [200, 200]


async def test_a_run_gets_what_its_flow_refers_to_and_no_more() -> None:
    made = service()
    await kept(made, "CRM_TOKEN", "sk-secret")
    await kept(made, "OTHER_TOKEN", "sk-other")
    flow = await made.publish(canvas(drawn("ChatInput-1", token=FROM_VARIABLE)))
    await made.http.post(f"/api/v1/run/{flow}", json={})
    assert made.steps.requests[-1].variables == {"CRM_TOKEN": "sk-secret"}


async def test_a_caller_may_give_a_run_another_value() -> None:
    made = service()
    await kept(made, "CRM_TOKEN", "sk-secret")
    flow = await made.publish(canvas(drawn("ChatInput-1", token=FROM_VARIABLE)))
    headers = {"x-langflow-global-var-crm-token": "x", "x-langflow-global-var-crm_token": "sk-of-the-caller"}
    await made.http.post(f"/api/v1/run/{flow}", json={}, headers=headers)
    assert made.steps.requests[-1].variables["CRM_TOKEN"] == "sk-of-the-caller"


async def test_a_tweak_that_chooses_a_provider_brings_its_key() -> None:
    made = service()
    await kept(made, "OPENAI_API_KEY", "sk-openai")
    flow = await made.publish(canvas(drawn("Agent-1", model={"type": "model", "value": ""})))
    await made.http.post(f"/api/v1/run/{flow}", json={})
    assert made.steps.requests[-1].variables == {}
    tweaks = {"Agent-1": {"model": [{"name": "gpt-4o", "provider": "OpenAI"}]}}
    await made.http.post(f"/api/v1/run/{flow}", json={"tweaks": tweaks})
    assert made.steps.requests[-1].variables == {"OPENAI_API_KEY": "sk-openai"}


async def test_another_tenants_flow_of_the_same_name_gets_nothing() -> None:
    made = service()
    await kept(made, "CRM_TOKEN", "sk-secret")
    made.http.headers["x-api-key"] = OTHER_KEY
    flow = await made.publish(canvas(drawn("ChatInput-1", token=FROM_VARIABLE)))
    await made.http.post(f"/api/v1/run/{flow}", json={})
    assert made.steps.requests[-1].variables == {}
    assert (await made.http.get(VARIABLES)).json() == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "A"}, 422),
        ({"name": "", "value": "x"}, 422),
        ({"name": "A", "value": ""}, 422),
        ({"name": "A", "value": "x", "type": "Secret"}, 422),
        ({"name": "CRM_TOKEN", "value": "x"}, 400),
    ],
)
async def test_what_cannot_be_kept_is_refused(body: dict[str, Any], status: int) -> None:
    made = service()
    await kept(made, "CRM_TOKEN", "sk-secret")
    assert (await made.http.post(VARIABLES, json=body)).status_code == status


async def test_a_removed_variable_goes_to_no_run() -> None:
    made = service()
    variable = await kept(made, "CRM_TOKEN", "sk-secret")
    assert (await made.http.delete(VARIABLES + variable["id"])).status_code == 204
    flow = await made.publish(canvas(drawn("ChatInput-1", token=FROM_VARIABLE)))
    await made.http.post(f"/api/v1/run/{flow}", json={})
    assert made.steps.requests[-1].variables == {}


async def test_master_keys_change_hands_for_all_tenants_when_the_operator_says_so() -> None:
    made = service()
    await kept(made, "CRM_TOKEN", "sk-secret")
    headers = {"x-api-key": KEYS_BY_ROLE["operator"]}
    answer = await made.http.post("/api/v1/admin/secrets/rewrap", headers=headers)
    assert answer.json() == {"tenants": 2, "rewrapped": 0}


async def test_versions_say_which_of_the_variables_they_name() -> None:
    made = service()
    await kept(made, "CRM_TOKEN", "sk-secret")
    await kept(made, "OTHER_TOKEN", "sk-other")
    flow = await made.publish(canvas(drawn("ChatInput-1", token=FROM_VARIABLE)))
    now_of = FROM_VARIABLE | {"value": "sk-pasted-by-mistake"}
    await made.http.patch(f"/api/v1/flows/{flow}", json={"data": canvas(drawn("ChatInput-1", token=now_of))["data"]})
    second, first = (await made.http.get(f"/api/v1/flows/{flow}/versions/")).json()["entries"]

    answers = [
        (await made.http.post(VARIABLES + "detections", json={"flow_version_ids": ids})).json()
        for ids in ([first["id"]], [second["id"]], [first["id"], second["id"], first["id"]])
    ]

    assert answers == [{"variables": ["CRM_TOKEN"]}, {"variables": []}, {"variables": ["CRM_TOKEN"]}]


async def test_no_version_of_another_tenant_and_none_that_is_gone_says_anything() -> None:
    made = service()
    flow = await made.publish(canvas(drawn("ChatInput-1", token=FROM_VARIABLE)))
    await made.http.patch(f"/api/v1/flows/{flow}", json={"data": canvas(drawn("ChatInput-1"))["data"]})
    first = (await made.http.get(f"/api/v1/flows/{flow}/versions/v1")).json()["id"]
    sent: dict[str, Any] = {"json": {"flow_version_ids": [first]}}

    strangers = await made.http.post(VARIABLES + "detections", **sent, headers={"x-api-key": OTHER_KEY})
    await made.http.delete(f"/api/v1/flows/{flow}/versions/v1")
    forgotten = await made.http.post(VARIABLES + "detections", **sent)

    assert [strangers.status_code, forgotten.status_code] == [404, 404]
    assert forgotten.json()["detail"] == f"Flow version {first} not found."


@pytest.mark.parametrize("ids", [[], ["abc"], "abc", [None], ["00000000-0000-4000-8000-000000000000"] * 51])
async def test_bad_ids_of_versions_are_named(ids: object) -> None:
    response = await service().http.post(VARIABLES + "detections", json={"flow_version_ids": ids})
    assert (response.status_code, "flow_version_ids" in response.json()["detail"]) == (422, True)

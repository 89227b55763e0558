"""What goes on record, and who reads it."""

from __future__ import annotations

from typing import Any

from flowray.tenancy.act import faults
from tests.unit.serve.service import ECHO, KEY, KEYS_BY_ROLE, OTHER_KEY, Service, service

AUDIT, ALL = "/api/v1/audit", "/api/v1/admin/audit"
OPERATOR = {"x-api-key": KEYS_BY_ROLE["operator"]}


async def records(made: Service, path: str = AUDIT, key: str = KEY) -> list[dict[str, Any]]:
    response = await made.http.get(path, headers={"x-api-key": key})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["records"]
    return found


async def test_who_changed_what_from_where_and_how_it_ended_is_on_record() -> None:
    made = service()
    issued = (await made.http.post("/api/v1/api_key/", json={"name": "ci"})).json()
    await made.http.delete(f"/api/v1/api_key/{issued['id']}")
    await made.http.delete(f"/api/v1/api_key/{issued['id']}")
    said = [(one["action"], one["route"].split()[0], one["object"], one["result"]) for one in await records(made)]
    assert (
        said
        == [
            ("keys", "POST", {"key": issued["id"], "name": "ci"}, "done"),
            ("keys", "DELETE", {"key": issued["id"]}, "done"),
            ("keys", "DELETE", {"key": issued["id"]}, "failed"),
            ("audit.read", "GET", {}, "done"),
        ][:3]
    )
    (first, *_) = await records(made)
    assert (first["who"], first["source"], first["status"], first["n"]) == ("default/", "127.0.0.1", 200, 1)
    assert issued["api_key"] not in str(await records(made))


async def test_what_was_refused_is_on_record_too() -> None:
    made = service()
    await made.http.post("/api/v1/flows/", json=ECHO, headers={"x-api-key": KEYS_BY_ROLE["viewer"]})
    (refused, *_) = await records(made)
    assert (refused["action"], refused["result"], refused["status"]) == ("flows.write", "refused", 403)


async def test_who_sends_a_canvas_to_run_and_may_not_is_on_record() -> None:
    made = service()
    flow = await made.publish(ECHO)
    runner = {"x-api-key": KEYS_BY_ROLE["runner"]}
    await made.http.post(f"/api/v1/build/{flow}/flow", json={"data": ECHO["data"]}, headers=runner)
    refused = (await records(made))[1]
    assert (refused["action"], refused["result"], refused["status"]) == ("runs.start", "refused", 403)
    assert refused["object"] == {"flow": flow}


async def test_who_only_looks_or_runs_is_not_and_who_reads_the_record_is() -> None:
    made = service()
    flow = await made.publish(ECHO)
    await made.http.post(f"/api/v1/run/{flow}", json={})
    await made.http.get("/api/v1/runs")
    await records(made)
    assert [one["action"] for one in await records(made)] == ["flows.write", "audit.read"]


async def test_who_has_a_flow_drawn_that_is_published_nowhere_is_not_but_who_may_not_is() -> None:
    made = service()
    for role in ("editor", "viewer"):
        await made.http.post(
            "/api/v1/flows/expand/", json={"spec": "nodes:"}, headers={"x-api-key": KEYS_BY_ROLE[role]}
        )
    assert [(one["action"], one["result"]) for one in await records(made)] == [("flows.write", "refused")]


async def test_a_secret_is_never_on_record() -> None:
    made = service()
    await made.http.post("/api/v1/variables/?x-api-key=" + KEY, json={"name": "A", "value": "sk-very-secret"})
    text = (await made.http.get(f"{AUDIT}/export")).text
    assert "variables.write" in text
    assert "sk-very-secret" not in text
    assert KEY not in text


async def test_each_tenant_reads_its_own_record_and_operators_all() -> None:
    made = service()
    await made.http.post("/api/v1/api_key/", json={"name": "mine"})
    await made.http.post("/api/v1/api_key/", json={"name": "theirs"}, headers={"x-api-key": OTHER_KEY})
    await made.http.post("/api/v1/admin/tenants", json={"id": "acme"}, headers=OPERATOR)
    assert [one["object"].get("name") for one in await records(made)] == ["mine"]
    operators = KEYS_BY_ROLE["operator"]
    assert (await records(made, f"{ALL}/other", operators))[0]["object"]["name"] == "theirs"
    assert (await records(made, f"{ALL}/SERVICE", operators))[0]["object"] == {"tenant": "acme"}
    assert (await made.http.get(f"{ALL}/nobody", headers=OPERATOR)).status_code == 404


async def test_an_export_is_a_chain_that_anybody_can_verify() -> None:
    made = service()
    for name in ("a", "b", "c"):
        await made.http.post("/api/v1/api_key/", json={"name": name})
    lines = (await made.http.get(f"{AUDIT}/export")).content.splitlines()
    assert len(lines) == 3
    assert faults(lines) == []
    assert (await made.http.get(f"{AUDIT}/verify")).json() == {"chain": "default", "whole": True, "faults": []}

"""Administration over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.unit.serve.service import KEYS_BY_ROLE, service

TENANTS = "/api/v1/admin/tenants"


@pytest.fixture
async def operator() -> AsyncIterator[httpx.AsyncClient]:
    async with service().http as http:
        http.headers["x-api-key"] = KEYS_BY_ROLE["operator"]
        yield http


async def test_a_tenant_is_made_settled_listed_and_read(operator: httpx.AsyncClient) -> None:
    made = await operator.post(TENANTS, json={"id": "acme", "settings": {"name": "Acme"}})
    settled = await operator.patch(f"{TENANTS}/acme", json={"settings": {"egress": ["x.org"]}})
    assert (made.status_code, settled.status_code) == (201, 200)

    read = (await operator.get(f"{TENANTS}/acme")).json()

    assert (read["name"], read["egress"]) == ("Acme", ["x.org"])
    listed = (await operator.get(TENANTS)).json()["tenants"]
    assert [tenant["id"] for tenant in listed] == ["acme", "default", "other"]


async def test_a_name_below_which_things_of_all_tenants_are_kept_is_no_tenants(operator: httpx.AsyncClient) -> None:
    refused = await operator.post(TENANTS, json={"id": "queue"})

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert "Choose another id" in refused.json()["detail"]


async def test_who_saw_an_older_revision_is_told(operator: httpx.AsyncClient) -> None:
    seen = (await operator.post(TENANTS, json={"id": "acme"})).json()["revision"]
    await operator.patch(f"{TENANTS}/acme", json={"settings": {"name": "x"}})
    late = await operator.patch(f"{TENANTS}/acme", json={"settings": {"name": "y"}, "revision": seen})
    assert (late.status_code, late.json()["code"]) == (409, "conflict")


async def test_an_operators_key_for_a_tenant_opens_that_tenant_only(operator: httpx.AsyncClient) -> None:
    await operator.post(TENANTS, json={"id": "acme"})
    issued = await operator.post(f"{TENANTS}/acme/keys", json={"name": "first", "roles": ["viewer"]})
    theirs = {"x-api-key": issued.json()["api_key"]}
    assert issued.status_code == 201
    assert (await operator.get("/api/v1/runs", headers=theirs)).status_code == 200
    assert (await operator.get(TENANTS, headers=theirs)).status_code == 403
    (shown,) = (await operator.get(f"{TENANTS}/acme/keys")).json()["api_keys"]
    assert shown["name"] == "first"

    settled = await operator.patch(f"{TENANTS}/acme/keys/{shown['id']}", json={"roles": ["runner"]})
    assert (settled.status_code, settled.json()["roles"]) == (200, ["runner"])
    assert (await operator.post("/api/v1/flows/", json={}, headers=theirs)).status_code == 403
    assert (await operator.patch(f"{TENANTS}/acme/keys/{shown['id']}", json={"roles": []})).status_code == 422

    rotated = await operator.post(f"{TENANTS}/acme/keys/{shown['id']}/rotate", json={})
    await operator.delete(f"{TENANTS}/acme/keys/{rotated.json()['id']}")

    assert (await operator.get(f"{TENANTS}/acme/keys")).json()["api_keys"] == []


async def test_only_a_suspended_tenant_is_removed_and_its_keys_with_it(operator: httpx.AsyncClient) -> None:
    await operator.post(TENANTS, json={"id": "acme"})
    key = (await operator.post(f"{TENANTS}/acme/keys", json={})).json()["api_key"]
    assert (await operator.delete(f"{TENANTS}/acme")).status_code == 409
    await operator.patch(f"{TENANTS}/acme", json={"settings": {"state": "suspended"}})

    removed = await operator.delete(f"{TENANTS}/acme")

    assert removed.json() == {"removed": "acme", "keys_revoked": 1, "objects_purged": 0}
    assert (await operator.get(f"{TENANTS}/acme")).status_code == 404
    assert (await operator.get("/api/v1/runs", headers={"x-api-key": key})).status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", TENANTS, {"id": "default"}, 409),
        ("POST", TENANTS, {"id": "Not An Id"}, 422),
        ("POST", TENANTS, {"id": "acme", "settings": {"colour": "red"}}, 422),
        ("PATCH", f"{TENANTS}/default", {"settings": {"budgets": {"webhook": "http://10.0.0.1/x"}}}, 422),
        ("GET", f"{TENANTS}/nobody", None, 404),
        ("PATCH", f"{TENANTS}/nobody", {"settings": {}}, 404),
        ("POST", f"{TENANTS}/nobody/keys", {}, 404),
        ("GET", f"{TENANTS}/nobody/keys", None, 404),
        ("DELETE", f"{TENANTS}/default/keys/nothing", None, 404),
    ],
)
async def test_what_cannot_be_done_is_answered_with_a_problem(
    operator: httpx.AsyncClient, method: str, path: str, body: Any, status: int
) -> None:
    response = await operator.request(method, path, json=body)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


async def test_nobody_inherits_what_a_former_tenant_has_left() -> None:
    made = service()
    made.http.headers["x-api-key"] = KEYS_BY_ROLE["operator"]
    await made.http.post(TENANTS, json={"id": "acme"})
    await made.objects.put("tenants/acme/flows/one.json", b"{}")
    await made.http.patch(f"{TENANTS}/acme", json={"settings": {"state": "suspended"}})
    await made.http.delete(f"{TENANTS}/acme")

    refused = await made.http.post(TENANTS, json={"id": "acme"})
    purged = await made.http.delete(f"{TENANTS}/acme", params={"purge": True})
    again = await made.http.post(TENANTS, json={"id": "acme"})

    assert (refused.status_code, purged.json()["objects_purged"], again.status_code) == (409, 1, 201)
    assert (await made.http.delete(f"{TENANTS}/nobody", params={"purge": True})).status_code == 404


async def test_who_makes_a_tenant_that_lives_is_told_so_and_not_to_remove_it() -> None:
    made = service()
    made.http.headers["x-api-key"] = KEYS_BY_ROLE["operator"]
    await made.objects.put("tenants/default/flows/one.json", b"{}")

    refused = await made.http.post(TENANTS, json={"id": "default"})

    assert (refused.status_code, refused.json()["detail"]) == (409, "There is a tenant `default` already.")

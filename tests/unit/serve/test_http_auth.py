"""Keys."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from flowray.errors import UnauthorizedError
from flowray.tenancy.principal import Principal
from flowray_serve.auth import Authenticator
from tests.unit.serve.service import ECHO, KEY, OTHER_KEY, MemoryCallers, known_tenants, service


def with_key(key: str) -> Request:
    return Request({"type": "http", "headers": [(b"x-api-key", key.encode())], "query_string": b""})


async def test_without_a_key_nothing_is_answered() -> None:
    response = await service().http.get("/api/v1/flows/", headers={"x-api-key": ""})
    assert (response.status_code, response.json()["code"]) == (403, "unauthorized")


async def test_an_unknown_key_is_refused_without_saying_which() -> None:
    response = await service().http.get("/api/v1/flows/", headers={"x-api-key": "wrong"})
    assert response.status_code == 403
    assert "wrong" not in response.text


async def test_a_key_may_come_as_a_query_parameter() -> None:
    response = await service().http.get(f"/api/v1/flows/?x-api-key={KEY}", headers={"x-api-key": ""})
    assert response.status_code == 200


async def test_one_tenant_does_not_see_anothers_flows() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    theirs = {"x-api-key": OTHER_KEY}
    assert (await made.http.get("/api/v1/flows/", headers=theirs)).json() == []
    for method, path in [
        ("GET", "flows"),
        ("DELETE", "flows"),
        ("PATCH", "flows"),
        ("POST", "run"),
        ("POST", "files/upload"),
    ]:
        response = await made.http.request(method, f"/api/v1/{path}/{flow_id}", headers=theirs, content=b"{}")
        assert response.status_code == 404, (method, path)


async def test_an_endless_key_is_refused_before_it_is_hashed() -> None:
    class NobodyAsks(MemoryCallers):
        async def caller(self, key_digest: str) -> Principal | None:
            raise AssertionError(key_digest)

    with pytest.raises(UnauthorizedError):
        await Authenticator(NobodyAsks(), known_tenants()).identify(with_key("k" * 10_000))


@pytest.mark.parametrize("header", ["Bearer", "bearer", "BEARER"])
async def test_a_key_may_come_as_a_bearer(header: str) -> None:
    headers = {"x-api-key": "", "authorization": f"{header} {KEY}"}
    assert (await service().http.get("/api/v1/flows/", headers=headers)).status_code == 200


async def test_a_suspended_tenants_key_opens_nothing_until_the_suspension_ends() -> None:
    made = service()
    await made.services.tenants.settle("default", {"state": "suspended"})
    refused = await made.http.get("/api/v1/flows/")
    assert (refused.status_code, refused.json()["code"]) == (403, "tenant_suspended")
    assert (await made.http.get("/api/v1/flows/", headers={"x-api-key": OTHER_KEY})).status_code == 200

    await made.services.tenants.settle("default", {"state": "active"})

    assert (await made.http.get("/api/v1/flows/")).status_code == 200


async def test_a_key_of_a_tenant_that_is_no_more_opens_nothing() -> None:
    made = service()
    await made.services.tenants.remove("default")
    assert (await made.http.get("/api/v1/flows/")).status_code == 403


@pytest.mark.parametrize(
    "path", ["/health", "/health_check", "/api/v1/version", "/api/v1/config", "/openapi.json", "/docs"]
)
async def test_what_says_nothing_about_a_tenant_needs_no_key(path: str) -> None:
    assert (await service().http.get(path, headers={"x-api-key": ""})).status_code == 200

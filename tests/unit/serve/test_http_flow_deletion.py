"""Flows over HTTP whose deletion broke off."""

from __future__ import annotations

import pytest

from flowray.errors import StoreUnavailableError
from tests.unit.serve.service import ECHO, Service, service


@pytest.fixture
async def made() -> Service:
    return service()


@pytest.fixture
async def flow_id(made: Service, monkeypatch: pytest.MonkeyPatch) -> str:
    """A flow that has run, and of which the object store did not let all be deleted."""

    async def away(folder: str) -> None:
        raise StoreUnavailableError(folder)

    flow_id = await made.publish(ECHO)
    for version in ("", "@v1"):
        assert (await made.http.post(f"/api/v1/run/{flow_id}{version}", json={})).status_code == 200
    with monkeypatch.context() as patch:
        patch.setattr(made.objects, "clear", away)
        assert (await made.http.delete(f"/api/v1/flows/{flow_id}")).status_code == 503
    return flow_id


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "flows/{}"), ("GET", "flows/{}@latest"), ("PATCH", "flows/{}"), ("POST", "run/{}"), ("POST", "run/{}@v1")],
)
async def test_it_is_not_found(made: Service, flow_id: str, method: str, path: str) -> None:
    answer = await made.http.request(method, f"/api/v1/{path.format(flow_id)}", json={})
    assert answer.status_code == 404


async def test_it_is_listed_until_it_is_deleted_again(made: Service, flow_id: str) -> None:
    listed = await made.http.get("/api/v1/flows/?header_flows=true")
    assert [one["id"] for one in listed.json()] == [flow_id]
    assert (await made.http.delete(f"/api/v1/flows/{flow_id}")).status_code == 200
    assert (await made.http.get("/api/v1/flows/?header_flows=true")).json() == []


async def test_another_flow_is_put_in_its_place(made: Service, flow_id: str) -> None:
    assert (await made.http.put(f"/api/v1/flows/{flow_id}", json=ECHO)).status_code == 201
    assert (await made.http.get(f"/api/v1/flows/{flow_id}/versions/")).json()["total"] == 1

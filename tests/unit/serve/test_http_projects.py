"""Projects over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.unit.serve.service import ECHO, OTHER_KEY, Service, service


async def new_project(made: Service, **fields: Any) -> str:
    response = await made.http.post("/api/v1/projects/", json={"name": "Mine", **fields})
    assert response.status_code == 201, response.text
    project_id: str = response.json()["id"]
    return project_id


async def test_a_tenant_has_one_project_from_the_beginning() -> None:
    (project,) = (await service().http.get("/api/v1/projects/")).json()
    assert (project["name"], project["is_owner"]) == ("Starter Project", True)


async def test_a_flow_goes_to_the_project_it_names_and_else_to_the_first() -> None:
    made = service()
    project = await new_project(made)
    first = (await made.http.get("/api/v1/projects/")).json()[0]["id"]
    named = (await made.http.post("/api/v1/flows/", json={**ECHO, "folder_id": project})).json()
    unknown = (await made.http.post("/api/v1/flows/", json={**ECHO, "folder_id": str(uuid.uuid4())})).json()
    assert (named["folder_id"], unknown["folder_id"]) == (project, first)


@pytest.mark.parametrize(("method", "body"), [("PATCH", {}), ("PUT", ECHO)])
async def test_a_flow_that_is_to_go_to_no_project_there_is_goes_to_the_first(
    method: str, body: dict[str, object]
) -> None:
    made = service()
    flow = (await made.http.post("/api/v1/flows/", json={**ECHO, "folder_id": await new_project(made)})).json()["id"]
    first = (await made.http.get("/api/v1/projects/")).json()[0]["id"]

    await made.http.request(method, f"/api/v1/flows/{flow}", json={**body, "folder_id": str(uuid.uuid4())})

    assert (await made.http.get(f"/api/v1/flows/{flow}")).json()["folder_id"] == first


async def test_a_flow_that_is_listed_twice_is_moved_once() -> None:
    made = service()
    flow = await made.publish(ECHO)
    made.flows.reads = 0
    await new_project(made, flows_list=[flow])
    once, made.flows.reads = made.flows.reads, 0
    await new_project(made, name="Other", flows_list=[flow] * 9)
    assert made.flows.reads == once


async def test_a_project_shows_its_flows_and_no_others() -> None:
    made = service()
    inside = await made.publish(ECHO)
    await made.publish(ECHO)
    project = await new_project(made, flows_list=[inside])
    shown = (await made.http.get(f"/api/v1/projects/{project}")).json()
    assert [(flow["id"], flow["data"]) for flow in shown["flows"]] == [(inside, ECHO["data"])]


async def test_a_page_of_a_project_says_how_many_there_are() -> None:
    made = service()
    project = await new_project(made, flows_list=[await made.publish(ECHO) for _ in range(3)])
    shown = (await made.http.get(f"/api/v1/projects/{project}?page=2&size=2&search=ECHO")).json()
    assert (len(shown["flows"]["items"]), shown["flows"]["total"], shown["folder"]["name"]) == (1, 3, "Mine")


async def test_a_projects_description_can_be_taken_away() -> None:
    made = service()
    project = await new_project(made, description="old")
    changed = await made.http.patch(f"/api/v1/projects/{project}", json={"description": ""})
    assert changed.json()["description"] == ""


async def test_a_name_in_use_gets_a_number_when_created_and_is_a_conflict_when_changed() -> None:
    made = service()
    await new_project(made)
    second = await new_project(made)
    assert (await made.http.get(f"/api/v1/projects/{second}")).json()["name"] == "Mine (1)"
    assert (await made.http.patch(f"/api/v1/projects/{second}", json={"name": "Mine"})).status_code == 409


async def test_a_changed_project_keeps_what_was_not_named() -> None:
    made = service()
    project = await new_project(made, description="First")
    changed = (await made.http.patch(f"/api/v1/projects/{project}", json={"name": "New"})).json()
    assert (changed["name"], changed["description"]) == ("New", "First")


async def test_a_deleted_project_takes_its_flows_with_it() -> None:
    made = service()
    flow = await made.publish(ECHO)
    project = await new_project(made, flows_list=[flow])
    assert (await made.http.delete(f"/api/v1/projects/{project}")).status_code == 204
    assert (await made.http.get(f"/api/v1/flows/{flow}")).status_code == 404
    assert (await made.http.get(f"/api/v1/projects/{project}")).status_code == 404


@pytest.mark.parametrize(("is_moved", "status"), [(True, 200), (False, 404)])
async def test_a_flow_that_is_changed_while_its_project_is_deleted_stays_if_it_lies_elsewhere_then(
    monkeypatch: pytest.MonkeyPatch, *, is_moved: bool, status: int
) -> None:
    made = service()
    project, other = await new_project(made), await new_project(made)
    flow = (await made.http.post("/api/v1/flows/", json={**ECHO, "folder_id": project})).json()["id"]
    delete = made.flows.delete

    async def changed_first(*what: Any, **facts: Any) -> None:
        monkeypatch.setattr(made.flows, "delete", delete)
        change = {"folder_id": other} if is_moved else {"description": "new"}
        assert (await made.http.patch(f"/api/v1/flows/{flow}", json=change)).status_code == 200
        await delete(*what, **facts)

    monkeypatch.setattr(made.flows, "delete", changed_first)
    assert (await made.http.delete(f"/api/v1/projects/{project}")).status_code == 204
    assert (await made.http.get(f"/api/v1/flows/{flow}")).status_code == status


async def test_a_project_travels_as_a_zip_to_another_service() -> None:
    made, other = service(), service()
    project = await new_project(made, flows_list=[await made.publish(ECHO), await made.publish(ECHO)])
    downloaded = await made.http.get(f"/api/v1/projects/download/{project}")
    uploaded = await other.http.post("/api/v1/projects/upload/", files={"file": ("Mine.zip", downloaded.content)})
    assert uploaded.status_code == 201
    assert [flow["data"] for flow in uploaded.json()] == [ECHO["data"]] * 2
    assert [one["name"] for one in (await other.http.get("/api/v1/projects/")).json()] == ["Starter Project", "Mine"]


async def test_an_empty_project_has_nothing_to_download() -> None:
    made = service()
    assert (await made.http.get(f"/api/v1/projects/download/{await new_project(made)}")).status_code == 404


async def test_another_tenant_sees_none_of_it() -> None:
    made = service()
    project, key = await new_project(made), {"x-api-key": OTHER_KEY}
    assert (await made.http.get(f"/api/v1/projects/{project}", headers=key)).status_code == 404
    assert (await made.http.delete(f"/api/v1/projects/{project}", headers=key)).status_code == 404
    assert len((await made.http.get("/api/v1/projects/", headers=key)).json()) == 1


async def test_folders_lead_to_projects() -> None:
    made = service()
    response = await made.http.get("/api/v1/folders/?page=1")
    assert (response.status_code, response.headers["location"]) == (307, "/api/v1/projects/?page=1")

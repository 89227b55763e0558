"""Flows over HTTP, in Langflow's shapes."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

import pytest

from flowray.component.spec import ComponentSpec
from flowray.component.stock import Stock
from flowray.errors import InvalidRequestError
from flowray.plan.types import Pool
from flowray_serve.bodies.flow import FlowBody
from flowray_serve.services import BodyLimits
from tests.unit.serve.service import ECHO, OTHER_KEY, Service, canvas, drawn, service

FLOW_ID = "33333333-3333-4333-8333-333333333333"


async def test_a_published_flow_comes_back_as_it_was() -> None:
    made = service()
    created = (await made.http.post("/api/v1/flows/", json=ECHO)).json()
    read = (await made.http.get(f"/api/v1/flows/{created['id']}")).json()
    assert read["data"] == ECHO["data"]
    assert (read["name"], read["access_type"], read["locked"]) == ("Echo", "PRIVATE", False)
    assert created["findings"] == []
    assert len(created["version"]) == 64


async def test_a_name_in_use_gets_a_number() -> None:
    made = service()
    names = [(await made.http.post("/api/v1/flows/", json=ECHO)).json()["name"] for _ in range(3)]
    assert names == ["Echo", "Echo (1)", "Echo (2)"]


async def test_an_endpoint_name_in_use_gets_a_number_when_created() -> None:
    made = service()
    flow = {**ECHO, "endpoint_name": "echo"}
    names = [(await made.http.post("/api/v1/flows/", json=flow)).json()["endpoint_name"] for _ in range(2)]
    assert names == ["echo", "echo-1"]


async def test_flows_of_one_name_that_are_created_at_the_same_moment_each_get_a_number() -> None:
    made = service()

    created = await asyncio.gather(*(made.http.post("/api/v1/flows/", json=ECHO) for _ in range(6)))

    names = sorted(response.json()["name"] for response in created)
    assert names == ["Echo", *(f"Echo ({number})" for number in range(1, 6))]


@pytest.mark.parametrize(("method", "path", "kept"), [("POST", "/api/v1/flows/", 3), ("PUT", "/api/v1/flows/{}", 1)])
async def test_flows_of_one_id_that_are_created_at_the_same_moment_do_not_take_each_others_place(
    method: str, path: str, kept: int
) -> None:
    made, wanted = service(), str(uuid.uuid4())
    bodies = [{**ECHO, "name": f"flow {number}", "id": wanted} for number in range(3)]

    created = await asyncio.gather(*(made.http.request(method, path.format(wanted), json=body) for body in bodies))

    assert len({response.json()["id"] for response in created}) == kept
    assert sorted(response.status_code for response in created) == [200] * (3 - kept) + [201] * kept
    assert len((await made.http.get("/api/v1/flows/")).json()) == kept


async def test_put_creates_then_updates() -> None:
    made = service()
    first = await made.http.put(f"/api/v1/flows/{FLOW_ID}", json=ECHO)
    second = await made.http.put(f"/api/v1/flows/{FLOW_ID}", json={**ECHO, "name": "Other"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["id"] == FLOW_ID
    assert (await made.http.get(f"/api/v1/flows/{FLOW_ID}")).json()["name"] == "Other"


async def test_put_under_an_endpoint_name_of_another_flow_is_a_conflict() -> None:
    made = service()
    await made.http.post("/api/v1/flows/", json={**ECHO, "endpoint_name": "echo"})
    response = await made.http.put(f"/api/v1/flows/{FLOW_ID}", json={**ECHO, "endpoint_name": "echo"})
    assert (response.status_code, response.json()["code"]) == (409, "conflict")


async def test_put_under_an_id_that_is_no_uuid_is_refused() -> None:
    response = await service().http.put("/api/v1/flows/mine", json=ECHO)
    assert response.status_code == 422


async def test_patch_changes_only_what_it_names() -> None:
    made = service()
    flow_id = await made.publish({**ECHO, "endpoint_name": "echo"})
    before = (await made.http.get(f"/api/v1/flows/{flow_id}")).json()
    after = (await made.http.patch(f"/api/v1/flows/{flow_id}", json={"description": "New"})).json()
    assert after["description"] == "New"
    assert (after["data"], after["endpoint_name"], after["version"]) == (before["data"], "echo", before["version"])


@pytest.mark.parametrize("nothing", [None, ""])
async def test_patch_takes_an_endpoint_name_away(nothing: str | None) -> None:
    made = service()
    flow_id = await made.publish({**ECHO, "endpoint_name": "echo"})
    after = (await made.http.patch(f"/api/v1/flows/{flow_id}", json={"endpoint_name": nothing})).json()
    assert after["endpoint_name"] is None
    assert (await made.http.post("/api/v1/run/echo", json={})).status_code == 404


async def test_a_changed_flow_runs_in_its_new_version() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    await made.http.post(f"/api/v1/run/{flow_id}", json={})
    await made.http.patch(f"/api/v1/flows/{flow_id}", json={"data": canvas(drawn("ChatOutput-9"))["data"]})
    await made.http.post(f"/api/v1/run/{flow_id}", json={})
    assert [[node.id for node in one.flow.nodes] for one in made.steps.requests] == [
        ["ChatInput-1", "ChatOutput-1"],
        ["ChatOutput-9"],
    ]


async def test_a_deleted_flow_is_gone() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    assert (await made.http.delete(f"/api/v1/flows/{flow_id}")).status_code == 200
    assert (await made.http.get(f"/api/v1/flows/{flow_id}")).status_code == 404
    assert (await made.http.delete(f"/api/v1/flows/{flow_id}")).status_code == 404


@pytest.mark.parametrize(("endpoint_name", "says"), [(None, "give the flow an endpoint name"), ("e", "`e`: use")])
async def test_who_takes_a_name_for_an_id_is_told_the_id(endpoint_name: str | None, says: str) -> None:
    made = service()
    flow_id = await made.publish({**ECHO, "endpoint_name": endpoint_name})
    run = await made.http.post("/api/v1/run/Echo", json={})
    refused = [run, *[await made.http.get(f"/api/v1/flows/{name}") for name in ("Echo", "Echo@v1")]]
    assert [(one.status_code, one.json()["code"]) for one in refused] == [(404, "not_found")] * 3
    assert [one.json()["detail"] for one in refused if f"`Echo` has the id {flow_id}" not in one.json()["detail"]] == []
    assert says in run.json()["detail"]


async def test_who_writes_a_name_in_another_case_is_told_how_it_is_written() -> None:
    made = service()
    flow_id = await made.publish({**ECHO, "name": "Router"})
    answer = await made.http.get("/api/v1/flows/router")
    assert f"a flow named `Router` has the id {flow_id}" in answer.json()["detail"]


async def test_what_flows_of_others_are_named_is_not_told() -> None:
    made = service()
    await made.publish(ECHO)
    asked = await made.http.get("/api/v1/flows/Echo", headers={"x-api-key": OTHER_KEY})
    assert (asked.status_code, asked.json()["detail"]) == (
        404,
        "There is no flow with the id or endpoint name `Echo`.",
    )


async def test_all_flows_are_a_list_with_their_canvases() -> None:
    made = service()
    await made.publish(ECHO)
    await made.publish(ECHO)
    flows = (await made.http.get("/api/v1/flows/?get_all=true")).json()
    assert [flow["data"] for flow in flows] == [ECHO["data"]] * 2


async def test_headers_come_without_canvas() -> None:
    made = service()
    await made.publish(ECHO)
    (flow,) = (await made.http.get("/api/v1/flows/?header_flows=true&remove_example_flows=true")).json()
    assert (flow["name"], flow["data"]) == ("Echo", None)


async def test_a_page_says_how_many_there_are() -> None:
    made = service()
    for _ in range(3):
        await made.publish(ECHO)
    page = (await made.http.get("/api/v1/flows/?get_all=false&page=2&size=2")).json()
    assert (len(page["items"]), page["total"], page["page"], page["size"], page["pages"]) == (1, 3, 2, 2, 2)


@pytest.mark.parametrize("nothing", [{}, {"data": None}, {"data": {}}])
async def test_a_flow_that_was_never_drawn_is_kept_and_refuses_to_run(nothing: dict[str, Any]) -> None:
    made = service()
    flow_id = await made.publish({"name": "Undrawn", **nothing})
    assert (await made.http.get(f"/api/v1/flows/{flow_id}")).json()["data"] == nothing.get("data")
    assert (await made.http.post(f"/api/v1/run/{flow_id}", json={})).json()["code"] == "flow_invalid"


async def test_a_flow_keeps_the_id_of_its_export_when_that_is_free() -> None:
    made = service()
    ids = [(await made.http.post("/api/v1/flows/", json={**ECHO, "id": FLOW_ID})).json()["id"] for _ in range(2)]
    assert ids[0] == FLOW_ID
    assert ids[1] != FLOW_ID


async def test_a_put_under_a_name_in_use_gets_a_number_when_it_is_new() -> None:
    made = service()
    await made.publish(ECHO)
    assert (await made.http.put(f"/api/v1/flows/{FLOW_ID}", json=ECHO)).json()["name"] == "Echo (1)"


async def test_who_has_seen_an_older_canvas_may_not_overwrite_a_newer_one() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    seen = (await made.http.get(f"/api/v1/flows/{flow_id}/version-state")).json()["version_token"]
    mine, other = ({"data": canvas(drawn(name))["data"]} for name in ("ChatOutput-8", "ChatOutput-9"))
    first = await made.http.patch(f"/api/v1/flows/{flow_id}", json=mine, headers={"if-match": f'W/"{seen}"'})
    second = await made.http.patch(f"/api/v1/flows/{flow_id}", json=other, headers={"if-match": seen})
    third = await made.http.put(f"/api/v1/flows/{flow_id}", json={**ECHO, **other}, headers={"if-match": seen})
    assert [one.status_code for one in (first, second, third)] == [200, 409, 409]
    assert second.json()["code"] == "flow_version_conflict"
    assert first.json()["version_token"] in second.json()["detail"]


async def overtaken(made: Service, flow_id: str, other: Mapping[str, Any], **headers: str) -> tuple[Any, Any]:
    """The answers to a canvas whose source takes its time, and to another change meanwhile."""
    began, go_on = asyncio.Event(), asyncio.Event()

    async def register(code: str, name: str) -> ComponentSpec:
        began.set()
        await go_on.wait()
        raise InvalidRequestError(f"{name} cannot be loaded: {code}")

    made.registry.register = register  # type: ignore[method-assign]
    url, mine = f"/api/v1/flows/{flow_id}", {"data": canvas(drawn("Mine-1"))["data"]}
    changing = asyncio.create_task(made.http.patch(url, json=mine, headers=headers))
    await began.wait()
    second = await made.http.patch(url, json=other, headers=headers)
    go_on.set()
    return await changing, second


async def test_of_two_changes_at_the_same_time_neither_loses_the_fields_of_the_other() -> None:
    made = service()
    flow_id = await made.publish(ECHO)

    first, second = await overtaken(made, flow_id, {"name": "Renamed"})

    assert [first.status_code, second.status_code] == [200, 200]
    read = (await made.http.get(f"/api/v1/flows/{flow_id}")).json()
    assert (read["name"], [node["id"] for node in read["data"]["nodes"]]) == ("Renamed", ["Mine-1"])


async def test_a_canvas_is_outdated_by_one_that_was_kept_while_it_was_examined() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    seen = (await made.http.get(f"/api/v1/flows/{flow_id}")).json()["version_token"]

    first, second = await overtaken(made, flow_id, {"data": canvas()["data"]}, **{"if-match": seen})

    assert [first.status_code, second.status_code] == [409, 200]
    assert first.json()["code"] == "flow_version_conflict"
    assert (await made.http.get(f"/api/v1/flows/{flow_id}")).json()["data"]["nodes"] == []


async def test_a_new_name_does_not_outdate_a_canvas() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    seen = (await made.http.get(f"/api/v1/flows/{flow_id}")).json()["version_token"]
    renamed = await made.http.patch(f"/api/v1/flows/{flow_id}", json={"name": "Renamed"})
    assert renamed.json()["version_token"] == seen


async def test_a_version_token_that_is_none_is_refused() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    response = await made.http.patch(f"/api/v1/flows/{flow_id}", json={"name": "x"}, headers={"if-match": '"nope"'})
    assert (response.status_code, response.json()["code"]) == (400, "version_token")


async def test_langflow_sdk_gets_the_list_it_reads_where_langflow_gives_a_page() -> None:
    made = service()
    for _ in range(3):
        await made.publish(ECHO)
    announced = {"content-type": "application/json"}
    flows = (await made.http.get("/api/v1/flows/?get_all=false&page=2&size=2", headers=announced)).json()
    assert len(flows) == 1


async def test_flows_of_another_project_are_none() -> None:
    made = service()
    await made.publish(ECHO)
    assert (await made.http.get(f"/api/v1/flows/?folder_id={uuid.uuid4()}")).json() == []
    (project,) = (await made.http.get("/api/v1/projects/")).json()
    assert len((await made.http.get(f"/api/v1/flows/?folder_id={project['id']}")).json()) == 1


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, "name"),
        ({"name": "x", "data": []}, "data"),
        ({"name": "x", "data": {"nodes": {}, "edges": []}}, "nodes"),
        ({"name": "x", "data": {"nodes": [1], "edges": []}}, "Node 0"),
        ({"name": "x" * 300, "data": {"nodes": [], "edges": []}}, "name"),
        ({**ECHO, "endpoint_name": "with space"}, "endpoint_name"),
        ({**ECHO, "tags": "a"}, "tags"),
        ({**ECHO, "icon_bg_color": "red"}, "icon_bg_color"),
    ],
)
async def test_what_is_no_flow_is_refused_by_name(document: dict[str, Any], says: str) -> None:
    response = await service().http.post("/api/v1/flows/", json=document)
    assert response.status_code == 422
    assert says in response.json()["detail"]


async def test_a_flow_of_too_many_bytes_is_refused() -> None:
    made = service(limits=BodyLimits(flow_bytes=1000))
    response = await made.http.post("/api/v1/flows/", content=b'{"name": "' + b"x" * 2000 + b'"}')
    assert (response.status_code, response.json()["code"]) == (413, "request_too_large")


async def test_a_flow_of_too_many_nodes_is_refused() -> None:
    response = await service().http.post("/api/v1/flows/", json=canvas(*[drawn(f"A-{i}") for i in range(2001)]))
    assert (response.status_code, response.json()["code"]) == (413, "flow_too_large")


async def test_a_component_seen_first_is_registered() -> None:
    made = service()
    await made.publish(canvas(drawn("Own-1", code="class Own: pass")))
    assert [spec.name for spec in made.registry.known.values()] == ["Own"]


async def test_a_component_that_cannot_be_loaded_is_a_finding_not_a_refusal() -> None:
    response = await service().http.post("/api/v1/flows/", json=canvas(drawn("Own-1", code="no_room = 1")))
    (finding,) = response.json()["findings"]
    assert (finding["severity"], finding["code"], finding["node"]) == ("warning", "component_not_loaded", "Own-1")
    assert "No sandbox is free" in finding["message"]


async def test_a_component_that_loads_for_ever_does_not_hold_publishing_up() -> None:
    made = service(patience_s=0.01)
    response = await made.http.post("/api/v1/flows/", json=canvas(drawn("Own-1", code="slow = 1")))
    assert response.status_code == 201
    assert "not loaded within" in response.json()["findings"][0]["message"]


async def test_a_flow_with_errors_is_kept_with_its_findings_and_refuses_to_run() -> None:
    made = service()
    response = await made.http.post("/api/v1/flows/", json=canvas(drawn("A-1"), wires=[("Gone-1", "A-1")]))
    assert [finding["code"] for finding in response.json()["findings"]] == ["dangling_edge"]
    run = await made.http.post(f"/api/v1/run/{response.json()['id']}", json={})
    assert (run.status_code, run.json()["code"]) == (422, "flow_invalid")
    assert "Gone-1" in run.json()["detail"]


async def test_of_a_flow_with_very_many_findings_the_first_are_told_and_how_many_more_there_are() -> None:
    wires = [(f"Gone-{number}", "A-1") for number in range(150)]
    response = await service().http.post("/api/v1/flows/", json=canvas(drawn("A-1"), wires=wires))
    *shown, last = response.json()["findings"]
    assert len(shown) == 100
    assert (last["severity"], last["code"]) == ("error", "more_findings")
    assert last["message"] == "And 50 more, 50 of them errors."


@pytest.mark.parametrize("field", sorted(FlowBody.model_fields))
async def test_a_wrong_type_in_any_field_is_taken_or_named_and_never_an_incident(field: str) -> None:
    made = service()
    junk: tuple[Any, ...] = (
        None,
        True,
        -1,
        1e300,
        "",
        "\x00",
        "x" * 100_000,
        [],
        [[]],
        {},
        {"nodes": {}},
        {"\x00": [None]},
    )
    for wrong in junk:
        response = await made.http.put(f"/api/v1/flows/{FLOW_ID}", json={**ECHO, field: wrong})
        assert response.status_code in (200, 201, 422), (field, wrong, response.text)


async def test_a_flow_whose_packages_no_pool_has_is_refused_and_not_kept() -> None:
    stock = Stock(image="default", names={}, standard=frozenset({"os"}))
    made = service(pools=[Pool(name="default", stock=stock)])
    node = drawn("Mine-1", code="import os, sklearn\nclass Mine: ...")
    response = await made.http.post("/api/v1/flows/", json=canvas(node))
    body = response.json()
    assert (response.status_code, body["code"], body["fault"]) == (422, "missing_package", "flow")
    assert "Node `Mine-1` imports `sklearn`" in body["detail"]
    assert "`scikit-learn==VERSION`" in body["detail"]
    assert "FLOWRAY_POOLS" in body["detail"]
    assert not await made.flows.list("default")
    assert not made.registry.known


async def test_a_package_that_a_flow_may_miss_later_is_a_warning() -> None:
    made = service(pools=[Pool(name="default", stock=Stock(image="default", names={}))])
    node = drawn("Mine-1", code="class Mine:\n    def build(self):\n        import sklearn")
    response = await made.http.post("/api/v1/flows/", json=canvas(node))
    assert response.status_code == 201
    assert "package_not_there" in {finding["code"] for finding in response.json()["findings"]}

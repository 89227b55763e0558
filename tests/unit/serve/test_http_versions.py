"""Versions over HTTP: nothing that was published is lost, and each runs by its number, its digest and its tags."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from flowray.component.stock import Stock
from flowray.plan.types import Pool
from flowray.stores.chats import MemoryChats
from flowray.stores.versions import version_key
from flowray_serve.queueing.sweeping import Retention, Sweeper
from tests.unit.serve.service import ECHO, Service, canvas, drawn, service


def saying(value: str, **top: Any) -> dict[str, Any]:
    """A flow that has this value saved."""
    flow = copy.deepcopy(ECHO) | top
    flow["data"]["nodes"][0]["data"]["node"]["template"]["input_value"]["value"] = value
    return flow


async def published(*values: str) -> tuple[Service, str]:
    """A flow that was published once with each of these values."""
    made = service()
    flow = await made.publish(saying(values[0], endpoint_name="echo"))
    for value in values[1:]:
        await made.http.patch(f"/api/v1/flows/{flow}", json={"data": saying(value)["data"]})
    return made, flow


async def entries(made: Service, flow: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await made.http.get(f"/api/v1/flows/{flow}/versions/")).json()["entries"]
    return found


def saved(made: Service) -> Any:
    """What the flow of the latest run had saved."""
    return made.steps.requests[-1].flow.nodes[0].fields["input_value"].value


async def test_each_content_that_was_published_is_a_version() -> None:
    made, flow = await published("one", "two")
    await made.http.patch(f"/api/v1/flows/{flow}", json={"description": "says the same"})
    found = await entries(made, flow)
    assert [(one["version_tag"], one["current"], one["retained"]) for one in found] == [
        ("v2", True, True),
        ("v1", False, False),
    ]


@pytest.mark.parametrize("by", ["v1", "digest", "tag"])
async def test_a_version_runs_by_each_of_its_names(by: str) -> None:
    made, flow = await published("one", "two")
    digest = (await entries(made, flow))[1]["version"]
    assert (await made.http.put(f"/api/v1/flows/{flow}/tags/prod", json={"version": "v1"})).status_code == 200
    name = {"v1": "v1", "digest": digest[:8], "tag": "prod"}[by]
    for known_as in (flow, "echo"):
        response = await made.http.post(f"/api/v1/run/{known_as}@{name}", json={})
        assert (response.status_code, saved(made)) == (200, "one")
    workflow = {"flow_id": f"{flow}@{name}"}
    assert (await made.http.post("/api/v2/workflows", json=workflow)).json()["flow_id"] == flow
    assert saved(made) == "one"
    await made.http.post(f"/api/v1/run/{flow}", json={})
    assert saved(made) == "two"


async def test_a_tag_that_is_moved_is_followed_by_the_next_run() -> None:
    made, flow = await published("one", "two")
    await made.http.put(f"/api/v1/flows/{flow}/tags/prod", json={"version": "v1"})
    await made.http.post("/api/v1/run/echo@prod", json={})
    moved = await made.http.put(f"/api/v1/flows/{flow}/tags/prod", json={"version": "v2"})
    await made.http.post("/api/v1/run/echo@prod", json={})
    assert saved(made) == "two"
    assert moved.json()["before"] != moved.json()["version"]


async def test_a_tag_stays_where_it_is_when_the_flow_goes_on() -> None:
    made, flow = await published("one")
    await made.http.put(f"/api/v1/flows/{flow}/tags/prod")
    await made.http.patch(f"/api/v1/flows/{flow}", json={"data": saying("two")["data"]})
    await made.http.post("/v1/chat/completions", json=chat("echo@prod"))
    assert saved(made) == "one"


@pytest.mark.parametrize("name", ["prod", "v9", "deadbeef", "@", "v1@v1"])
async def test_a_version_that_is_not_there_is_named(name: str) -> None:
    made, _ = await published("one")
    response = await made.http.post(f"/api/v1/run/echo@{name}", json={})
    assert (response.status_code, response.json()["code"]) == (404, "version_not_found")


@pytest.mark.parametrize("tag", ["to%20do", "-", "1st", "prod%0A"])
async def test_a_tag_that_is_no_name_is_told_how_names_are_written(tag: str) -> None:
    made, flow = await published("one")

    refused = await made.http.put(f"/api/v1/flows/{flow}/tags/{tag}")

    assert refused.status_code == 422
    assert "begins with a letter" in refused.json()["detail"]


@pytest.mark.parametrize("tag", ["v1", "latest", "deadbeef", "12"])
async def test_a_tag_that_would_be_taken_for_a_version_is_refused(tag: str) -> None:
    made, flow = await published("one")
    assert (await made.http.put(f"/api/v1/flows/{flow}/tags/{tag}")).status_code == 422


async def test_activating_a_version_makes_it_current_and_loses_none() -> None:
    made, flow = await published("one", "two")
    version_id = (await entries(made, flow))[1]["id"]
    response = await made.http.post(f"/api/v1/flows/{flow}/versions/{version_id}/activate")
    assert response.json()["data"] == saying("one")["data"]
    found = await entries(made, flow)
    assert [(one["version_tag"], one["description"], one["current"]) for one in found] == [
        ("v3", "v1 again", True),
        ("v2", None, False),
        ("v1", None, True),
    ]


async def test_activating_over_what_somebody_else_changed_is_a_conflict() -> None:
    made, flow = await published("one", "two")
    token = (await made.http.get(f"/api/v1/flows/{flow}")).json()["version_token"]
    await made.http.patch(f"/api/v1/flows/{flow}", json={"data": saying("three")["data"]})
    path = f"/api/v1/flows/{flow}/versions/v1/activate"
    response = await made.http.post(path, headers={"if-match": token})
    assert (response.status_code, response.json()["code"]) == (409, "flow_version_conflict")


async def test_differences_are_told_node_by_node() -> None:
    made, flow = await published("one", "two")
    found = (await made.http.get(f"/api/v1/flows/{flow}/versions/v1/differences")).json()
    assert found["same"] is False
    (node,) = found["nodes"]
    assert (node["node"], node["kind"], node["source"]) == ("ChatInput-1", "changed", None)
    assert node["changes"] == [{"what": "input_value", "before": "one", "after": "two"}]


async def test_a_canvas_kept_aside_can_be_run_and_is_not_the_flow() -> None:
    made, flow = await published("one")
    body = {"data": saying("draft")["data"], "description": "tried out"}
    kept = (await made.http.post(f"/api/v1/flows/{flow}/versions/", json=body)).json()
    assert (kept["version_tag"], kept["current"], kept["published"], kept["description"]) == (
        "v2",
        False,
        False,
        "tried out",
    )
    await made.http.post("/api/v1/run/echo@v2", json={})
    assert saved(made) == "draft"
    await made.http.post("/api/v1/run/echo", json={})
    assert saved(made) == "one"


async def test_what_the_flow_is_now_gets_a_description() -> None:
    made, flow = await published("one")
    made_current = await made.http.post(f"/api/v1/flows/{flow}/versions/", json={"description": "the first"})
    assert (made_current.status_code, made_current.json()["version_tag"]) == (201, "v1")
    assert [one["description"] for one in await entries(made, flow)] == ["the first"]


async def test_only_what_is_neither_current_nor_tagged_is_forgotten() -> None:
    made, flow = await published("one", "two", "three")
    await made.http.put(f"/api/v1/flows/{flow}/tags/prod", json={"version": "v1"})
    path = f"/api/v1/flows/{flow}/versions"
    answers = [(await made.http.delete(f"{path}/v{number}")).status_code for number in (1, 2, 3)]
    assert answers == [409, 204, 409]
    assert [one["version_tag"] for one in await entries(made, flow)] == ["v3", "v1"]
    assert (await made.http.post("/api/v1/run/echo@v2", json={})).status_code == 404
    await made.http.patch(f"/api/v1/flows/{flow}", json={"data": saying("two")["data"]})
    assert (await entries(made, flow))[0]["version_tag"] == "v4"


async def test_secrets_are_in_no_version_that_is_read() -> None:
    secret = {"type": "str", "password": True, "value": "hunter2", "name": "api_key"}
    made = service()
    flow = await made.publish(canvas(drawn("ChatInput-1", api_key=secret)))
    await made.http.patch(f"/api/v1/flows/{flow}", json={"data": canvas(drawn("ChatInput-1"))["data"]})
    read = await made.http.get(f"/api/v1/flows/{flow}/versions/v1")
    told = await made.http.get(f"/api/v1/flows/{flow}/versions/v1/differences")
    assert read.json()["data"]["nodes"][0]["data"]["node"]["template"]["api_key"]["value"] is None
    assert "hunter2" not in read.text + told.text


async def test_a_version_runs_in_the_image_it_was_published_for_as_long_as_a_pool_has_it() -> None:
    old, new = [Stock(image="default", digest=digest, names={}) for digest in ("old", "new")]
    before = service(pools=[Pool(name="default", stock=old)])
    flow = await before.publish(saying("one", endpoint_name="echo"))
    after = service(pools=[Pool(name="default", stock=new), Pool(name="earlier", stock=old)], objects=before.objects)
    await after.http.post("/api/v1/run/echo", json={})
    other = await after.publish(saying("two", endpoint_name="other"))
    await after.http.post("/api/v1/run/other", json={})
    pools = [request.plan.steps[0].pool for request in after.steps.requests]
    assert pools == ["earlier", "default"]
    assert [(await entries(after, one))[0]["images"] for one in (flow, other)] == [["old"], ["new"]]


async def test_without_its_image_a_version_runs_in_what_there_is() -> None:
    old, new = [Stock(image="default", digest=digest, names={}) for digest in ("old", "new")]
    before = service(pools=[Pool(name="default", stock=old)])
    await before.publish(saying("one", endpoint_name="echo"))
    after = service(pools=[Pool(name="default", stock=new)], objects=before.objects)
    assert (await after.http.post("/api/v1/run/echo", json={})).status_code == 200


async def test_changes_are_on_the_audit_log() -> None:
    made, flow = await published("one", "two")
    await made.http.put(f"/api/v1/flows/{flow}/tags/prod", json={"version": "v1"})
    await made.http.post(f"/api/v1/flows/{flow}/versions/v1/activate")
    acts = (await made.http.get("/api/v1/audit")).json()["records"][-2:]
    assert [(one["action"], one["object"]) for one in acts] == [
        ("flows.write", {"flow": flow, "tag": "prod"}),
        ("flows.write", {"flow": flow, "version": "v1"}),
    ]


async def test_retention_removes_no_version() -> None:
    made, flow = await published("one", "two")

    async def kept(_: str) -> Retention:
        return Retention(runs_days=0.001, idempotency_h=0.001)

    sweeper = Sweeper(made.objects, made.services.jobs.requests, NoList(), MemoryChats(), kept, clock=lambda: 4e9)
    await sweeper.sweep()
    assert [one["version_tag"] for one in await entries(made, flow)] == ["v2", "v1"]
    assert (await made.http.post("/api/v1/run/echo@v1", json={})).status_code == 200


class NoList:
    async def forget(self, tenant: str, *, before: float) -> None:
        return


def chat(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}]}


async def share_of(made: Service, flow: str, value: str, *, sessions: int = 200) -> float:
    """Which share of sessions runs the version that has this value saved."""
    hits = 0
    for number in range(sessions):
        response = await made.http.post(f"/api/v1/run/{flow}@prod", json={"session_id": f"s{number}"})
        assert response.status_code == 200, response.text
        hits += saved(made) == value
    return hits / sessions


async def test_a_share_of_a_tags_runs_goes_to_its_canary_until_the_tag_is_set_again() -> None:
    made, flow = await published("one", "two")
    tag = f"/api/v1/flows/{flow}/tags/prod"

    said = await made.http.put(tag, json={"version": "v1", "canary": {"version": "v2", "share": 0.25}})

    assert said.status_code == 200, said.text
    two, one = await entries(made, flow)
    assert said.json()["canary"] == {"version": two["version"], "share": 0.25}
    assert (one["tags"], two["canary_of"]) == (["prod"], {"prod": 0.25})
    listed = (await made.http.get(f"/api/v1/flows/{flow}/versions/")).json()
    assert listed["tags"] == {"prod": one["version"]}
    assert listed["canaries"] == {"prod": {"version": two["version"], "share": 0.25}}
    assert 0.15 < await share_of(made, flow, "two") < 0.35

    await made.http.put(tag, json={"version": "v1"})
    assert await share_of(made, flow, "two", sessions=50) == 0
    await made.http.put(tag, json={"version": "v2"})
    assert await share_of(made, flow, "two", sessions=50) == 1


async def test_the_runs_of_one_session_stay_with_one_version_and_those_of_none_are_drawn_each_time() -> None:
    made, flow = await published("one", "two")
    canary = {"version": "v2", "share": 0.5}
    await made.http.put(f"/api/v1/flows/{flow}/tags/prod", json={"version": "v1", "canary": canary})
    seen: dict[str, set[Any]] = {"a": set(), "b": set(), "": set()}
    for session, values in seen.items():
        for _ in range(30):
            body = {"session_id": session} if session else {}
            await made.http.post(f"/api/v1/run/{flow}@prod", json=body)
            values.add(saved(made))
    assert (len(seen["a"]), len(seen["b"]), seen[""]) == (1, 1, {"one", "two"})


async def test_a_larger_share_keeps_the_sessions_that_the_canary_has() -> None:
    made, flow = await published("one", "two")
    has: list[set[str]] = []
    for share in (0.2, 0.6):
        canary = {"version": "v2", "share": share}
        await made.http.put(f"/api/v1/flows/{flow}/tags/prod", json={"version": "v1", "canary": canary})
        with_canary = set()
        for number in range(60):
            await made.http.post(f"/api/v1/run/{flow}@prod", json={"session_id": f"s{number}"})
            with_canary |= {f"s{number}"} if saved(made) == "two" else set()
        has.append(with_canary)
    assert set() < has[0] < has[1]


@pytest.mark.parametrize("path", ["run/advanced", "webhook"])
async def test_other_ways_to_run_a_tag_have_its_canary_too(path: str) -> None:
    made, flow = await published("one", "two")
    canary = {"version": "v2", "share": 0.5}
    await made.http.put(f"/api/v1/flows/{flow}/tags/prod", json={"version": "v1", "canary": canary})
    seen = set()
    async with made.engine():
        for _ in range(30):
            before = len(made.steps.requests)
            answer = await made.http.post(f"/api/v1/{path}/{flow}@prod", json={"inputs": [{}]})
            assert answer.status_code in (200, 202), answer.text
            for _ in range(1_000):
                if len(made.steps.requests) > before:
                    break
                await asyncio.sleep(0.001)
            seen.add(saved(made))
    assert seen == {"one", "two"}


async def test_a_canary_is_not_forgotten_and_what_is_current_can_be_read_by_the_tag() -> None:
    made, flow = await published("one", "two", "three")
    canary = {"version": "v2", "share": 0.9}
    await made.http.put(f"/api/v1/flows/{flow}/tags/prod", json={"version": "v1", "canary": canary})
    refused = await made.http.delete(f"/api/v1/flows/{flow}/versions/v2")
    assert (refused.status_code, refused.json()["code"]) == (409, "version_in_use")
    read = (await made.http.get(f"/api/v1/flows/{flow}/versions/prod")).json()
    assert read["version_tag"] == "v1"


@pytest.mark.parametrize(
    ("canary", "status"),
    [
        ({"version": "v2", "share": 0}, 422),
        ({"version": "v2", "share": 1}, 422),
        ({"version": "v2", "share": "much"}, 422),
        ({"version": "v2"}, 422),
        ({"version": "v1", "share": 0.1}, 422),
        ({"version": "v9", "share": 0.1}, 404),
        ("v2", 422),
        ({"version": "v2", "share": 0.1, "more": 1}, 422),
    ],
)
async def test_a_canary_that_is_none_is_refused_and_the_tag_stays_as_it_is(canary: Any, status: int) -> None:
    made, flow = await published("one", "two")
    tag = f"/api/v1/flows/{flow}/tags/prod"
    await made.http.put(tag, json={"version": "v2"})
    refused = await made.http.put(tag, json={"version": "v1", "canary": canary})
    assert refused.status_code == status, refused.text
    assert (await entries(made, flow))[0]["tags"] == ["prod"]


async def test_a_tag_at_a_version_whose_content_is_gone_says_that_the_version_was_forgotten() -> None:
    made, flow = await published("one", "two")
    tagged = await made.http.put(f"/api/v1/flows/{flow}/tags/prod", json={"version": "v1"})
    await made.objects.delete(version_key("default", flow, tagged.json()["version"]))

    response = await made.http.post("/api/v1/run/echo@prod", json={})

    assert (response.status_code, response.json()["code"]) == (404, "version_not_found")
    assert response.json()["detail"].endswith("of the flow `echo` was forgotten.")

"""What ran, as Langflow's monitor tells it, and the editor's build."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.ports import RunRequest
from tests.unit.serve.flows import said
from tests.unit.serve.service import ECHO, OTHER_KEY, Held, Service, service


async def failing(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
    node = request.plan.by_id[step.step].nodes[0]
    yield ev.NodeStarted(node=node)
    yield ev.NodeFailed(node=node, error="no key", error_type="ValueError", traceback="line 1")
    yield ev.StepFailed(step=step.step, kind="component", node=node, error="no key", error_type="ValueError")


async def twice(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
    node = request.plan.by_id[step.step].nodes[0]
    for text in ("first", "second"):
        yield ev.NodeStarted(node=node)
        yield said(node, text)
    yield ev.StepFinished(step=step.step, took_s=0.1)


async def ran(made: Service, *, times: int = 1) -> str:
    flow = await made.publish(ECHO)
    for number in range(times):
        await made.http.post(f"/api/v1/run/{flow}", json={"input_value": f"hi {number}", "session_id": "s"})
    return flow


def told(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.headers["content-type"] == "application/x-ndjson", response.text
    return [json.loads(line) for line in response.text.splitlines() if line]


async def test_the_latest_build_of_each_node_is_shown() -> None:
    made = service()
    flow = await ran(made, times=2)
    builds = (await made.http.get(f"/api/v1/monitor/builds?flow_id={flow}")).json()["vertex_builds"]
    assert set(builds) == {"ChatInput-1", "ChatOutput-1"}
    (build,) = builds["ChatOutput-1"]
    assert build["data"]["results"]["message"]["text"] == "hi 1"
    assert build["valid"]


async def test_transactions_come_newest_first_and_in_pages() -> None:
    made = service()
    flow = await ran(made, times=3)
    first, page = [
        (await made.http.get(f"/api/v1/monitor/transactions?flow_id={flow}&size=2&page={number}")).json()
        for number in (1, 2)
    ]
    assert [(one["total"], one["pages"]) for one in (first, page)] == [(6, 3), (6, 3)]
    assert [item["vertex_id"] for item in page["items"]] == ["ChatOutput-1", "ChatInput-1"]
    assert page["items"][0]["outputs"]["message"]["message"] == "hi 1"


async def test_each_run_of_a_node_of_a_loop_has_an_id_of_its_own() -> None:
    made = service()
    made.steps.script = twice
    flow = await ran(made)

    page = (await made.http.get(f"/api/v1/monitor/transactions?flow_id={flow}")).json()
    (trace,) = (await made.http.get("/api/v1/monitor/traces")).json()["traces"]
    spans = (await made.http.get(f"/api/v1/monitor/traces/{trace['id']}")).json()["spans"]

    assert len({item["id"] for item in page["items"]}) == len(page["items"]) == 2
    assert len({span["id"] for span in spans}) == len(spans) == 2


async def test_a_trace_has_a_span_for_each_node() -> None:
    made = service()
    flow = await ran(made)
    (trace,) = (await made.http.get(f"/api/v1/monitor/traces?flow_id={flow}")).json()["traces"]
    assert (trace["status"], trace["sessionId"], trace["input"]) == ("ok", "s", {"input_value": "hi 0"})
    whole = (await made.http.get(f"/api/v1/monitor/traces/{trace['id']}")).json()
    assert [span["status"] for span in whole["spans"]] == ["ok", "ok"]


async def test_a_failed_run_is_a_trace_with_its_error() -> None:
    made = service()
    made.steps.script = failing
    await ran(made)
    (trace,) = (await made.http.get("/api/v1/monitor/traces?status=error")).json()["traces"]
    (span,) = (await made.http.get(f"/api/v1/monitor/traces/{trace['id']}")).json()["spans"]
    assert (span["status"], span["error"]) == ("error", "no key")
    assert (await made.http.get("/api/v1/monitor/traces?status=ok")).json()["total"] == 0


@pytest.mark.parametrize(
    ("wanted", "total"),
    [
        ("start_time=0001-01-01T00:00:00", 1),
        ("end_time=0001-01-01T00:00:00", 0),
        ("end_time=9999-12-31T23:59:59", 1),
        ("start_time=2000-01-01T00:00:00Z", 1),
    ],
)
async def test_traces_are_chosen_by_any_time(wanted: str, total: int) -> None:
    made = service()
    await ran(made)
    assert (await made.http.get(f"/api/v1/monitor/traces?{wanted}")).json()["total"] == total


async def test_another_tenants_runs_are_not_there() -> None:
    made = service()
    flow, key = await ran(made), {"x-api-key": OTHER_KEY}
    (trace,) = (await made.http.get("/api/v1/monitor/traces")).json()["traces"]
    assert (await made.http.get(f"/api/v1/monitor/builds?flow_id={flow}", headers=key)).json() == {"vertex_builds": {}}
    assert (await made.http.get(f"/api/v1/monitor/traces/{trace['id']}", headers=key)).status_code == 404
    assert (await made.http.get("/api/v1/monitor/job_queue", headers=key)).json()["active_jobs"] == 0


async def test_a_build_is_started_and_followed() -> None:
    made = service()
    flow = await made.publish(ECHO)
    inputs = {"inputs": {"input_value": "hi", "session": "s"}}
    job = (await made.http.post(f"/api/v1/build/{flow}/flow", json=inputs)).json()["job_id"]
    events = told(await made.http.get(f"/api/v1/build/{job}/events"))
    names = [event["event"] for event in events]
    assert names == ["vertices_sorted", "build_start", "end_vertex", "end_vertex", "end"]
    assert events[0]["data"] == {"ids": ["ChatInput-1"], "to_run": ["ChatInput-1", "ChatOutput-1"]}
    assert events[2]["data"]["build_data"]["next_vertices_ids"] == ["ChatOutput-1"]


async def test_a_build_is_answered_at_once_when_asked_so() -> None:
    made = service()
    response = await made.http.post(f"/api/v1/build/{await made.publish(ECHO)}/flow?event_delivery=direct", json={})
    assert told(response)[-1]["event"] == "end"


async def test_a_build_that_fails_says_so_and_ends() -> None:
    made = service()
    made.steps.script = failing
    response = await made.http.post(f"/api/v1/build/{await made.publish(ECHO)}/flow?event_delivery=direct", json={})
    error, vertex, end = told(response)[-3:]
    assert [error["event"], vertex["event"], end["event"]] == ["error", "end_vertex", "end"]
    assert error["data"]["text"] == "no key"
    assert not vertex["data"]["build_data"]["valid"]


async def test_a_build_is_cancelled() -> None:
    made, held = service(), Held()
    made.steps.script = held
    flow = await made.publish(ECHO)
    job = (await made.http.post(f"/api/v1/build/{flow}/flow", json={})).json()["job_id"]
    async with asyncio.timeout(10):
        await held.began.wait()
    assert (await made.http.post(f"/api/v1/build/{job}/cancel")).json()["success"] is True
    assert (await made.http.post(f"/api/v1/build/{job}/cancel")).json()["success"] is False


@pytest.mark.parametrize(("method", "what"), [("GET", "events"), ("POST", "cancel")])
async def test_a_job_that_nobody_started_is_not_there(method: str, what: str) -> None:
    response = await service().http.request(method, f"/api/v1/build/{uuid.uuid4()}/{what}")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")

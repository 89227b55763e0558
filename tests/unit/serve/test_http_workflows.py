"""The v2 API."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from flowray.flow.types import NodeId
from tests.kit.frames import frames
from tests.unit.serve.service import ECHO, OTHER_KEY, canvas, drawn, service
from tests.unit.serve.test_http_run import failing, talking

CHAIN = canvas(
    drawn("ChatInput-1"),
    drawn("Agent-1"),
    drawn("ChatOutput-1"),
    wires=[("ChatInput-1", "Agent-1"), ("Agent-1", "ChatOutput-1")],
)


def events(response: httpx.Response) -> list[dict[str, Any]]:
    return list(frames(response.text.splitlines()))


async def test_a_sync_run_answers_with_its_text() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    response = await made.http.post(
        "/api/v2/workflows", json={"flow_id": flow_id, "input_value": "hi", "globals": {"K": "v"}, "session_id": "s"}
    )
    body = response.json()
    assert (body["status"], body["output"]["text"], body["session_id"]) == ("completed", "hi", "s")
    assert body["job_id"] == response.headers["x-flowray-run"]
    assert made.steps.requests[0].variables == {"K": "v"}


async def test_globals_in_the_body_win_over_headers() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    await made.http.post(
        "/api/v2/workflows",
        json={"flow_id": flow_id, "globals": {"K": "body"}},
        headers={"X-LANGFLOW-GLOBAL-VAR-K": "header"},
    )
    assert made.steps.requests[0].variables == {"K": "body"}


async def test_a_failed_component_is_inside_a_200() -> None:
    made = service()
    made.steps.script = failing
    flow_id = await made.publish(ECHO)
    response = await made.http.post("/api/v2/workflows", json={"flow_id": flow_id})
    assert response.status_code == 200
    assert (response.json()["status"], response.json()["has_errors"]) == ("failed", True)


@pytest.mark.parametrize("version", ["", "@v1"])
async def test_a_flow_is_run_by_its_endpoint_name(version: str) -> None:
    made = service()
    flow_id = await made.publish({**ECHO, "endpoint_name": "router"})
    response = await made.http.post("/api/v2/workflows", json={"flow_id": f"router{version}"})
    assert (response.status_code, response.json()["flow_id"]) == (200, flow_id), response.text


async def test_a_flow_that_there_is_not_is_not_found_by_any_name() -> None:
    response = await service().http.post("/api/v2/workflows", json={"flow_id": "router@prod"})
    assert (response.status_code, "`router`" in response.json()["detail"]) == (404, True)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"mode": "later"}, "invalid_request"),
        ({"flow_id": 7}, "invalid_request"),
        ({"inputvalue": "typo"}, "invalid_request"),
        ({"globals": {"": "x"}}, "invalid_request"),
        ({"globals": {"k": "x" * 70_000}}, "invalid_request"),
        ({"output_ids": ["Nobody-1"]}, "unknown_output_ids"),
        ({"stop_component_id": "Nobody-1"}, "unknown_node"),
        ({"mode": "stream", "stream_protocol": "morse"}, "unknown_stream_protocol"),
        ({"data": {"nodes": 1}}, "flow_format"),
    ],
)
async def test_what_does_not_fit_is_refused_before_anything_runs(fields: dict[str, Any], code: str) -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    response = await made.http.post("/api/v2/workflows", json={"flow_id": flow_id, **fields})
    assert (response.status_code, response.json()["code"]) == (422, code), response.text
    assert made.steps.requests == []


async def test_a_part_of_the_flow_runs_alone() -> None:
    made = service()
    flow_id = await made.publish(CHAIN)
    await made.http.post("/api/v2/workflows", json={"flow_id": flow_id, "stop_component_id": "Agent-1"})
    assert made.steps.requests[0].only_nodes == frozenset({NodeId("ChatInput-1"), NodeId("Agent-1")})


async def test_a_canvas_not_yet_saved_runs_in_place_of_the_saved_one() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    response = await made.http.post(
        "/api/v2/workflows", json={"flow_id": flow_id, "data": canvas(drawn("ChatOutput-7"))["data"]}
    )
    assert list(response.json()["outputs"]) == ["ChatOutput-7"]


async def test_the_langflow_stream_tells_nodes_tokens_and_output() -> None:
    made = service()
    made.steps.script = talking
    flow_id = await made.publish(ECHO)
    told = events(await made.http.post("/api/v2/workflows", json={"flow_id": flow_id, "mode": "stream"}))
    assert [event["event"] for event in told] == [
        "vertices_sorted",
        "build_start",
        "add_message",
        "token",
        "token",
        "end_vertex",
        "output",
        "end",
    ]
    assert told[6]["data"]["content"] == "hello"


async def test_the_agui_stream_is_a_conversation() -> None:
    made = service()
    made.steps.script = talking
    flow_id = await made.publish(ECHO)
    asked = {"flow_id": flow_id, "mode": "stream", "stream_protocol": "agui"}
    told = [event["type"] for event in events(await made.http.post("/api/v2/workflows", json=asked))]
    assert told[0] == "RUN_STARTED"
    assert told.count("TEXT_MESSAGE_CONTENT") == 2
    assert told[-1] == "RUN_FINISHED"


async def test_the_agui_stream_shows_the_graph_to_those_who_ask() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    asked = {"flow_id": flow_id, "mode": "stream", "stream_protocol": "agui", "expose_graph_state": True}
    told = [event["type"] for event in events(await made.http.post("/api/v2/workflows", json=asked))]
    assert {"STATE_SNAPSHOT", "STEP_STARTED", "STEP_FINISHED"} <= set(told)


async def test_a_failing_stream_says_its_error_and_ends_as_langflows_do() -> None:
    made = service()
    made.steps.script = failing
    flow_id = await made.publish(ECHO)
    told = events(await made.http.post("/api/v2/workflows", json={"flow_id": flow_id, "mode": "stream"}))
    (error,) = [event["data"] for event in told if event["event"] == "error"]
    assert error["error"] == "no key"
    assert told[-1]["event"] == "end"


@pytest.mark.parametrize("protocol", ["langflow", "agui"])
async def test_a_stream_that_broke_is_taken_up_in_its_own_framing(protocol: str) -> None:
    made = service()
    made.steps.script = talking
    flow_id = await made.publish(ECHO)
    asked = {"flow_id": flow_id, "mode": "stream", "stream_protocol": protocol}
    whole = await made.http.post("/api/v2/workflows", json=asked)
    run = whole.headers["x-flowray-run"]

    again = await made.http.get(
        f"/api/v2/workflows/{run}/events?stream_protocol={protocol}", headers={"last-event-id": "2"}
    )

    assert again.status_code == 200
    assert again.text == whole.text[whole.text.index("id: 3\n") :]


@pytest.mark.parametrize("version", ["", "@stable"])
async def test_a_stream_of_a_flow_that_has_changed_is_taken_up_as_it_was(version: str) -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    await made.http.put(f"/api/v1/flows/{flow_id}/tags/stable", json={"version": "v1"})
    if version:
        await made.http.patch(f"/api/v1/flows/{flow_id}", json={"data": {"nodes": [], "edges": []}})
    told = await made.http.post("/api/v2/workflows", json={"flow_id": f"{flow_id}{version}", "mode": "stream"})
    await made.http.patch(f"/api/v1/flows/{flow_id}", json={"data": {"nodes": [], "edges": []}})

    again = await made.http.get(f"/api/v2/workflows/{told.headers['x-flowray-run']}/events")

    assert (again.status_code, again.text) == (200, told.text)


async def test_a_stream_of_a_canvas_that_was_not_saved_is_read_in_the_runs_own_words() -> None:
    made = service()
    flow_id = await made.publish({**ECHO, "data": {"nodes": [], "edges": []}})
    asked = {"flow_id": flow_id, "mode": "stream", "data": ECHO["data"]}
    told = await made.http.post("/api/v2/workflows", json=asked)
    path = f"/api/v2/workflows/{told.headers['x-flowray-run']}/events"

    refused = await made.http.get(path)

    assert (await made.http.get(path, headers={"x-api-key": OTHER_KEY})).status_code == 404
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert f"/api/v1/runs/{told.headers['x-flowray-run']}/events" in refused.json()["detail"]

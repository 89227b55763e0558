"""Running flows over HTTP: answers, streams, and failures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.ports import RunRequest
from flowray.flow.types import NodeId
from flowray_serve.routes.application import build_app
from flowray_serve.run_service import TenantDefaults
from tests.unit.serve.flows import message_result
from tests.unit.serve.service import ECHO, Held, canvas, drawn, echo, service

CHAT = NodeId("ChatOutput-1")


async def failing(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
    yield ev.NodeFailed(node=CHAT, error="no key", error_type="ValueError", traceback="tb")
    yield ev.StepFailed(
        step=step.step, kind="component", node=CHAT, error="no key", error_type="ValueError", traceback="tb"
    )


async def talking(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
    yield ev.MessageAdded(node=CHAT, message={"id": "m1", "text": "", "properties": {"state": "partial"}})
    yield ev.Token(node=CHAT, text="hel", message="m1")
    yield ev.Token(node=CHAT, text="lo", message="m1")
    yield ev.NodeFinished(node=CHAT, outputs={}, result=message_result(CHAT, "hello"))


def frames(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.split("\n\n") if line]


async def test_a_run_answers_in_langflows_shape_and_names_itself() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    response = await made.http.post(f"/api/v1/run/{flow_id}", json={"input_value": "hi", "session_id": "s"})
    body = response.json()
    assert body["session_id"] == "s"
    assert body["outputs"][0]["inputs"] == {"input_value": "hi"}
    assert body["outputs"][0]["outputs"][0]["results"]["message"]["text"] == "hi"
    assert response.headers["x-flowray-run"] == made.steps.requests[0].run


async def test_a_flow_runs_by_its_endpoint_name() -> None:
    made = service()
    await made.publish({**ECHO, "endpoint_name": "echo"})
    assert (await made.http.post("/api/v1/run/echo", json={})).status_code == 200


async def test_without_a_body_the_flow_runs_with_what_it_has_saved() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    response = await made.http.post(f"/api/v1/run/{flow_id}")
    assert response.json()["outputs"][0]["inputs"] == {}
    assert made.steps.requests[0].input_value is None
    assert made.steps.requests[0].session == flow_id


async def test_a_flow_is_read_and_planned_once_however_often_it_runs() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    before = made.flows.reads
    for _ in range(3):
        await made.http.post(f"/api/v1/run/{flow_id}", json={})
    assert made.flows.reads == before + 1
    assert made.steps.requests[0].plan is made.steps.requests[2].plan


async def test_tweaks_change_the_flow_of_one_run_and_keep_its_plan() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    await made.http.post(f"/api/v1/run/{flow_id}", json={"tweaks": {"ChatOutput-1": {"input_value": "tweaked"}}})
    await made.http.post(f"/api/v1/run/{flow_id}", json={})
    values = [one.flow.by_id[CHAT].fields["input_value"].value for one in made.steps.requests]
    assert values == ["tweaked", ""]
    assert made.steps.requests[0].plan is made.steps.requests[1].plan


async def test_variables_come_from_defaults_body_and_headers_the_last_wins() -> None:
    made = service(defaults=TenantDefaults(variables={"A": "default", "B": "default"}, egress=("api.test",)))
    flow_id = await made.publish(ECHO)
    await made.http.post(
        f"/api/v1/run/{flow_id}",
        json={"context": {"request_variables": {"B": "body", "C": "body"}, "room": 7}},
        headers={"X-LANGFLOW-GLOBAL-VAR-c": "header"},
    )
    (request,) = made.steps.requests
    assert request.variables == {"A": "default", "B": "body", "C": "header"}
    assert (request.context, request.egress) == ({"room": 7}, ("api.test",))


async def test_a_failed_component_is_a_problem_that_names_node_run_and_traceback() -> None:
    made = service()
    made.steps.script = failing
    flow_id = await made.publish(ECHO)
    response = await made.http.post(f"/api/v1/run/{flow_id}", json={})
    body = response.json()
    assert (response.status_code, body["code"], body["fault"]) == (500, "component_failed", "component")
    assert body["detail"] == "Node `ChatOutput-1` (ChatOutput) failed: no key"
    assert (body["node"], body["error_type"], body["traceback"]) == (CHAT, "ValueError", "tb")
    assert body["run"] == response.headers["x-flowray-run"] == made.steps.requests[0].run


@pytest.mark.parametrize("how", ["query", "body"])
async def test_a_stream_is_asked_for_in_the_query_or_in_the_body(how: str) -> None:
    made = service()
    made.steps.script = talking
    flow_id = await made.publish(ECHO)
    asked: dict[str, Any] = {"params": {"stream": "true"}, "json": {}} if how == "query" else {"json": {"stream": True}}
    response = await made.http.post(f"/api/v1/run/{flow_id}", **asked)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert [frame["event"] for frame in frames(response)] == ["add_message", "token", "token", "end"]
    assert [frame["data"].get("chunk") for frame in frames(response)][1:3] == ["hel", "lo"]
    result = frames(response)[-1]["data"]["result"]
    assert result["outputs"][0]["outputs"][0]["results"]["message"]["text"] == "hello"


async def test_a_stream_switches_streaming_on_in_the_flow() -> None:
    made = service()
    flow_id = await made.publish(canvas(drawn("Model-1", stream={"type": "bool", "value": False, "name": "stream"})))
    await made.http.post(f"/api/v1/run/{flow_id}?stream=true", json={})
    await made.http.post(f"/api/v1/run/{flow_id}", json={})
    assert [one.flow.nodes[0].fields["stream"].value for one in made.steps.requests] == [True, False]


async def test_a_failing_stream_ends_with_an_error_frame() -> None:
    made = service()
    made.steps.script = failing
    flow_id = await made.publish(ECHO)
    (frame,) = frames(await made.http.post(f"/api/v1/run/{flow_id}?stream=1", json={}))
    assert frame["event"] == "error"
    assert frame["data"]["error"] == "Node `ChatOutput-1` (ChatOutput) failed: no key"
    assert frame["data"]["code"] == "component_failed"


async def test_a_stream_that_breaks_unexpectedly_ends_with_an_error_frame_too() -> None:
    async def broken(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
        yield ev.Token(node=CHAT, text="a", message="m")
        raise ZeroDivisionError("secret of the house")

    made = service()
    made.steps.script = broken
    flow_id = await made.publish(ECHO)
    response = await made.http.post(f"/api/v1/run/{flow_id}?stream=1", json={})
    last = frames(response)[-1]
    assert (last["event"], last["data"]["code"]) == ("error", "internal_error")
    assert "secret" not in response.text


async def test_a_cancelled_run_tells_its_caller() -> None:
    made = service()
    flow_id = await made.publish(ECHO)

    made.steps.script = held = Held()
    running = asyncio.create_task(made.http.post(f"/api/v1/run/{flow_id}", json={}))
    await held.began.wait()
    run = made.steps.requests[0].run
    cancelled = await made.http.post(f"/api/v1/runs/{run}/cancel")
    assert cancelled.json()["status"] == "cancelled"
    response = await running
    assert (response.status_code, response.json()["code"]) == (409, "run_cancelled")


async def test_a_caller_that_goes_away_cancels_its_run() -> None:
    made = service()
    flow_id = await made.publish(ECHO)

    made.steps.script = held = Held()
    running = asyncio.create_task(made.http.post(f"/api/v1/run/{flow_id}", json={}))
    await held.began.wait()
    running.cancel()
    await asyncio.wait_for(held.ended.wait(), 5)


async def test_a_gateway_that_goes_down_stops_what_it_drives() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    made.steps.script = held = Held()
    app = build_app(made.services)
    async with app.router.lifespan_context(app):
        running = asyncio.create_task(made.http.post(f"/api/v1/run/{flow_id}", json={}))
        await held.began.wait()
    assert (await running).status_code == 409
    assert held.ended.is_set()


async def test_uploaded_files_that_the_flow_names_go_along() -> None:
    made = service()
    flow_id = await made.publish(canvas(drawn("File-1", path={"type": "file", "value": "", "name": "path"})))
    sent = await made.http.post(f"/api/v1/files/upload/{flow_id}", files={"file": ("a b.txt", b"content")})
    path = sent.json()["file_path"]
    assert sent.status_code == 201
    assert (sent.json()["flowId"], path.startswith(f"{flow_id}/"), path.endswith("_a_b.txt")) == (flow_id, True, True)
    await made.http.post(f"/api/v1/run/{flow_id}", json={"tweaks": {"File-1": {"path": path}}})
    await made.http.post(f"/api/v1/run/{flow_id}", json={})
    assert [list(one.files) for one in made.steps.requests] == [[path], []]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..\\..\\boot.ini", "\u202etxt.exe", "." * 300, "x" * 1000 + ".txt"]
)
async def test_an_uploaded_files_name_is_made_harmless(name: str) -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    sent = await made.http.post(f"/api/v1/files/upload/{flow_id}", files={"file": (name, b"x")})
    own = sent.json()["file_path"].removeprefix(f"{flow_id}/")
    assert "/" not in own
    assert ".." not in own
    assert len(own) < 200


async def test_an_upload_without_a_file_says_how_to_send_one() -> None:
    made = service()
    flow_id = await made.publish(ECHO)
    response = await made.http.post(f"/api/v1/files/upload/{flow_id}", data={"other": "x"})
    assert response.status_code == 422
    assert "multipart/form-data" in response.json()["detail"]


async def test_a_parallel_run_does_not_share_results() -> None:
    made = service()
    made.steps.script = echo
    flow_id = await made.publish(ECHO)
    answers = await asyncio.gather(
        *(made.http.post(f"/api/v1/run/{flow_id}", json={"input_value": str(n)}) for n in range(20))
    )
    texts = [one.json()["outputs"][0]["outputs"][0]["results"]["message"]["text"] for one in answers]
    assert texts == [str(n) for n in range(20)]


async def test_a_run_reaches_what_pools_tenant_and_flow_all_list() -> None:
    made = service(defaults=TenantDefaults(egress=("*.example.org", "db.test:5432", "api.test")))
    flow_id = await made.publish({**ECHO, "data": {**ECHO["data"], "flowray": {"egress": ["a.example.org", "x.test"]}}})
    await made.services.tenants.settle("default", {"egress": ["a.example.org:443", "api.test"]})
    await made.http.post(f"/api/v1/run/{flow_id}", json={})
    assert made.steps.requests[0].egress == ("a.example.org:443",)


async def test_a_tenant_whose_list_is_empty_reaches_nothing() -> None:
    made = service(defaults=TenantDefaults(egress=("api.test",)))
    flow_id = await made.publish(ECHO)
    await made.services.tenants.settle("default", {"egress": []})
    await made.http.post(f"/api/v1/run/{flow_id}", json={})
    assert made.steps.requests[0].egress == ()


CALL_OF_A_TOOL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "echo", "arguments": {"input_value": "hi"}},
}
LOOSE = canvas(drawn("ChatInput-1"), drawn("ChatOutput-1"), drawn("Prompt-9"), wires=[("ChatInput-1", "ChatOutput-1")])


@pytest.mark.parametrize(
    ("path", "body", "runs_all"),
    [
        ("/api/v1/run/{}", {}, False),
        ("/api/v1/run/advanced/{}", {}, False),
        ("/api/v2/workflows", {"flow_id": "{}", "mode": "sync"}, False),
        ("/api/v2/workflows", {"flow_id": "{}", "mode": "stream"}, True),
        ("/api/v1/build/{}/flow?event_delivery=direct", {}, True),
        ("/v1/chat/completions", {"model": "{}", "messages": [{"role": "user", "content": "hi"}]}, False),
        ("/api/v1/responses", {"model": "{}", "input": "hi"}, False),
        ("/api/v1/mcp/streamable", CALL_OF_A_TOOL, False),
    ],
)
async def test_a_call_runs_what_is_connected_to_the_flows_entry_and_an_editor_runs_all(
    path: str, body: dict[str, Any], *, runs_all: bool
) -> None:
    made = service()
    flow_id = await made.publish(LOOSE)
    named = {name: flow_id if value == "{}" else value for name, value in body.items()}
    headers = {"accept": "application/json, text/event-stream"}
    await made.http.post(path.format(flow_id), json=named, headers=headers)
    only = made.steps.requests[0].only_nodes
    assert only == (None if runs_all else {"ChatInput-1", "ChatOutput-1"})

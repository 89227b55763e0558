"""The Model Context Protocol's own client against the service: flows are tools, each tenant's its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client

from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.ports import RunRequest
from flowray.flow.types import NodeId
from flowray.tenancy.langflow_ids import tenant_uuid
from tests.unit.serve.flows import message_result
from tests.unit.serve.service import ECHO, KEY, OTHER_KEY, Service, canvas, drawn, service

CHAT = NodeId("ChatOutput-1")
MOOD = {"type": "str", "value": "", "name": "mood", "show": True, "info": "How to say it", "required": True}
INPUT = {"type": "str", "value": "", "name": "input_value", "show": True, "input_types": []}
MOODY = canvas(
    drawn("ChatInput-1", input_value=INPUT, mood=MOOD),
    drawn("ChatOutput-1"),
    wires=[("ChatInput-1", "ChatOutput-1")],
)


async def saying(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
    if request.input_value == "fail":
        yield ev.StepFailed(step=step.step, kind="component", node=CHAT, error="no key", error_type="ValueError")
        return
    mood = next((node.fields["mood"].value for node in request.flow.nodes if "mood" in node.fields), "")
    text = f"{mood}{request.input_value}"
    for node in request.plan.by_id[step.step].nodes:
        yield ev.NodeFinished(node=node, outputs={}, result=message_result(node, text))


@pytest.fixture(scope="module")
def made() -> Service:
    made = service()
    made.steps.script = saying
    return made


@pytest.fixture
async def echo(made: Service) -> str:
    found = await made.services.store.find("default", "echo")
    return found.id if found else await made.publish({**ECHO, "name": "Écho - it!", "endpoint_name": "echo"})


@asynccontextmanager
async def speaking(url: str, path: str = "/api/v1/mcp/streamable", key: str = KEY) -> AsyncIterator[ClientSession]:
    async with (
        httpx.AsyncClient(headers={"x-api-key": key}, timeout=30) as http,
        streamable_http_client(f"{url}{path}", http_client=http) as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        yield session


def text_of(result: types.CallToolResult) -> list[str]:
    return [part.text for part in result.content if isinstance(part, types.TextContent)]


async def test_a_flow_is_a_tool_that_says_what_it_takes(url: str, made: Service) -> None:
    flow = await made.publish({**MOODY, "name": "Moody", "description": "Says it in a mood"})

    async with speaking(url) as session:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}

    tool = tools["moody"]
    assert tool.description == f"{flow}: Says it in a mood"
    assert tool.inputSchema["properties"]["mood"] == {"type": "string", "description": "How to say it"}
    assert tool.inputSchema["required"] == ["mood"]
    assert "session_id" in tool.inputSchema["properties"]


async def test_calling_a_tool_runs_the_flow(url: str, made: Service, echo: str) -> None:
    await made.publish({**MOODY, "name": "Moody too"})
    async with speaking(url) as session:
        said = await session.call_tool("echo_it", {"input_value": "hi", "session_id": "s1"})
        moody = await session.call_tool("moody_too", {"input_value": "hi", "mood": "gladly "})

    assert (text_of(said), said.isError) == (["hi"], False)
    assert text_of(moody) == ["gladly hi"]
    assert [request.session for request in made.steps.requests if request.flow_id == echo][-1] == "s1"


async def test_a_caller_is_told_how_far_its_run_is(url: str, echo: str) -> None:
    heard: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with speaking(url) as session:
        said = await session.call_tool("echo_it", {"input_value": "hi"}, progress_callback=hear)

    assert text_of(said) == ["hi"]
    assert heard == [(1.0, 2.0, "ChatInput-1"), (2.0, 2.0, "ChatOutput-1")]


async def test_a_tool_that_fails_says_so(url: str, echo: str) -> None:
    async with speaking(url) as session:
        failed = await session.call_tool("echo_it", {"input_value": "fail"})
        missing = await session.call_tool("missing", {})

    assert (failed.isError, missing.isError) == (True, True)
    assert "no key" in text_of(failed)[0]
    assert "not found" in text_of(missing)[0]


async def test_a_project_offers_the_flows_that_are_enabled_for_it(url: str, made: Service, echo: str) -> None:
    enabled = {"name": "Enabled", "mcp_enabled": True}
    await made.publish({**ECHO, **enabled})
    first = tenant_uuid("default", "project")

    async with speaking(url, f"/api/v1/mcp/project/{first}/streamable") as session:
        tools = (await session.list_tools()).tools
        said = await session.call_tool("enabled", {"input_value": "hi"})

    assert [tool.name for tool in tools] == ["enabled"]
    assert text_of(said) == ["hi"]


async def test_no_tenant_calls_anothers_flows(url: str, echo: str) -> None:
    async with speaking(url, key=OTHER_KEY) as session:
        assert (await session.list_tools()).tools == []
        assert (await session.call_tool("echo_it", {"input_value": "hi"})).isError


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/v1/mcp/streamable", {}, 403),
        ("/api/v1/mcp/streamable", {"x-api-key": "wrong"}, 403),
        ("/api/v1/mcp/project/0/streamable", {"x-api-key": KEY}, 404),
    ],
)
async def test_who_may_not_speak_is_told_why(url: str, path: str, headers: dict[str, str], status: int) -> None:
    async with httpx.AsyncClient() as http:
        response = await http.post(url + path, json={}, headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"jsonrpc":"2.0"}', b'{"jsonrpc":"2.0","id":1,"method":"x"}'])
async def test_nonsense_is_answered_with_an_error(url: str, body: bytes) -> None:
    headers: dict[str, Any] = {"x-api-key": KEY, "accept": "application/json, text/event-stream"}
    async with httpx.AsyncClient() as http:
        response = await http.post(
            f"{url}/api/v1/mcp/streamable", content=body, headers=headers | {"content-type": "application/json"}
        )
    assert response.status_code < 500
    assert b"error" in response.content


async def test_tools_of_a_version_run_that_version(url: str, made: Service) -> None:
    flow = await made.publish({**MOODY, "name": "Tagged"})
    await made.publish({**MOODY, "name": "Untagged"})
    assert (await made.http.put(f"/api/v1/flows/{flow}/tags/steady", json={"version": "v1"})).status_code == 200
    assert (await made.http.patch(f"/api/v1/flows/{flow}", json={"data": ECHO["data"]})).status_code == 200

    async with speaking(url, "/api/v1/mcp/streamable?version=steady") as session:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        said = await session.call_tool("tagged", {"input_value": "hi", "mood": "gladly "})
        other = await session.call_tool("untagged", {"input_value": "hi"})
    async with speaking(url) as session:
        now = await session.call_tool("tagged", {"input_value": "hi", "mood": "gladly "})

    assert list(tools) == ["tagged"]
    assert "mood" in tools["tagged"].inputSchema["properties"]
    assert (text_of(said), text_of(now)) == (["gladly hi"], ["hi"])
    assert (other.isError, "no version `steady`" in text_of(other)[0]) == (True, True)

"""Langflow's own clients against the service: what they send is understood, what they get they can read."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from langflow_sdk import (  # type: ignore[import-untyped]  # it ships no types
    AsyncClient,
    Client,
    FlowCreate,
    FlowUpdate,
    LangflowAuthError,
    LangflowHTTPError,
    LangflowNotFoundError,
    LangflowValidationError,
)

from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.ports import RunRequest
from flowray_serve.routes.application import build_app
from tests.kit.server import serving
from tests.unit.serve.flows import message_result
from tests.unit.serve.service import ECHO, KEY, Service, service


async def talking(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
    """Say the input token by token, as a chat model does."""
    text = request.input_value or ""
    for node in request.plan.by_id[step.step].nodes:
        yield ev.MessageAdded(node=node, message={"id": "m1", "text": "", "sender": "Machine"})
        for letter in text:
            yield ev.Token(node=node, text=letter, message="m1")
        yield ev.NodeFinished(node=node, outputs={}, result=message_result(node, text))


@pytest.fixture(scope="module")
def made() -> Service:
    made = service()
    made.steps.script = talking
    return made


@pytest.fixture(scope="module")
def url(made: Service) -> Iterator[str]:
    with serving(build_app(made.services)) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url, api_key=KEY) as client:
        yield client


def echo_named(name: str, **fields: str) -> FlowCreate:
    return FlowCreate(name=name, data=ECHO["data"], **fields)


def test_a_flow_is_created_read_changed_and_deleted(client: Client) -> None:
    created = client.create_flow(echo_named("Created", description="First"))
    assert client.get_flow(created.id).data == ECHO["data"]
    changed = client.update_flow(created.id, FlowUpdate(description="Second"))
    assert (changed.description, changed.name) == ("Second", "Created")
    client.delete_flow(created.id)
    with pytest.raises(LangflowNotFoundError):
        client.get_flow(created.id)


def test_upsert_tells_created_from_updated(client: Client) -> None:
    flow_id = uuid.uuid4()
    assert client.upsert_flow(flow_id, echo_named("Upserted"))[1] is True
    assert client.upsert_flow(flow_id, echo_named("Upserted"))[1] is False


def test_all_flows_are_listed(client: Client) -> None:
    created = client.create_flow(echo_named("Listed"))
    flows = client.list_flows(get_all=True, remove_example_flows=True)
    assert created.id in {flow.id for flow in flows}
    assert all(flow.data for flow in flows)


def test_a_run_is_read_by_the_sdk(client: Client) -> None:
    created = client.create_flow(echo_named("Run", endpoint_name="run-me"))
    for name in (created.id, "run-me"):
        answer = client.run(name, "hello", tweaks={"ChatOutput-1": {"input_value": "x"}})
        assert answer.first_text_output() == "hello"
        assert answer.session_id == str(created.id)
        assert not answer.has_errors()


def test_the_sdks_own_way_to_ask_for_a_stream_works(client: Client) -> None:
    created = client.create_flow(echo_named("Streamed"))
    chunks = list(client.stream(created.id, "hey"))
    assert "".join(chunk.text or "" for chunk in chunks if chunk.is_token) == "heyhey"
    final = chunks[-1].final_response()
    assert final is not None
    assert final.first_text_output() == "hey"


async def test_the_sdks_async_client_works_too(url: str) -> None:
    async with AsyncClient(url, api_key=KEY) as client:
        created = await client.create_flow(echo_named("Async"))
        assert (await client.run(created.id, "hello")).first_text_output() == "hello"


def test_errors_become_the_sdks_errors(client: Client, url: str) -> None:
    with pytest.raises(LangflowNotFoundError, match="no flow"):
        client.run("nobody", "x")
    with pytest.raises(LangflowValidationError, match="nodes"):
        client.create_flow(FlowCreate(name="x", data={"nodes": {}}))
    created = client.create_flow(echo_named("Tweaked"))
    with pytest.raises(LangflowValidationError, match="ChatOutput"):
        client.run(created.id, "x", tweaks={"ChatOutputt-1": {"input_value": 1}})
    with Client(url, api_key="wrong") as stranger, pytest.raises(LangflowAuthError):
        stranger.list_flows(get_all=True)


def test_a_failed_component_is_an_http_error_with_its_words(client: Client, made: Service) -> None:
    async def failing(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
        yield ev.StepFailed(step=step.step, kind="component", node=request.flow.nodes[0].id, error="no key")

    created = client.create_flow(echo_named("Failing"))
    made.steps.script = failing
    try:
        with pytest.raises(LangflowHTTPError, match="no key"):
            client.run(created.id, "x")
    finally:
        made.steps.script = talking


def test_projects_are_listed(client: Client) -> None:
    (project,) = client.list_projects()
    flow = client.create_flow(echo_named("In project"))
    assert flow.folder_id == project.id


def lfx(url: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lfx", *arguments, "--target", url, "--api-key", KEY]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_lfx_pushes_pulls_and_compares(url: str, tmp_path: Path) -> None:
    flow_id = str(uuid.uuid4())
    source = tmp_path / "pushed.json"
    source.write_text(json.dumps({**ECHO, "id": flow_id, "name": "Pushed"}))
    assert "Pushed" in succeeded(lfx(url, "push", str(source), folder=tmp_path))
    succeeded(lfx(url, "pull", "--flow-id", flow_id, "--output-dir", "out", folder=tmp_path))
    (pulled,) = (tmp_path / "out").glob("*.json")
    assert json.loads(pulled.read_text())["name"] == "Pushed"
    assert "synced" in succeeded(lfx(url, "status", str(pulled), folder=tmp_path))


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

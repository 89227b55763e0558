"""Langflow's own clients against the service: what they send is understood, what they get they can read."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import uuid
import zipfile
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
    ProjectCreate,
    ProjectUpdate,
)
from langflow_sdk.models import RunRequest as Asked  # type: ignore[import-untyped]

from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.ports import RunRequest
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


def test_flows_are_listed_in_pages_where_the_sdk_fails_against_langflow(client: Client) -> None:
    for number in range(3):
        client.create_flow(echo_named(f"Paged {number}"))
    assert len(client.list_flows(page=1, size=2)) == 2
    assert all(flow.data is None for flow in client.list_flows(header_flows=True))


def test_a_run_is_asked_for_as_a_request(client: Client) -> None:
    created = client.create_flow(echo_named("Asked"))
    assert client.run_flow(created.id, Asked(input_value="hello")).first_text_output() == "hello"


def test_a_project_is_created_read_changed_and_deleted(client: Client) -> None:
    created = client.create_project(ProjectCreate(name="Rivers", description="All"))
    assert client.get_project(created.id).flows == []
    assert client.update_project(created.id, ProjectUpdate(name="Streams")).name == "Streams"
    assert created.id in {project.id for project in client.list_projects()}
    client.delete_project(created.id)
    with pytest.raises(LangflowNotFoundError):
        client.get_project(created.id)


def test_a_project_is_downloaded_and_uploaded_where_the_sdk_fails_against_langflow(client: Client) -> None:
    project = client.create_project(ProjectCreate(name="Travelling"))
    client.create_flow(echo_named("On the way", folder_id=str(project.id)))
    files = client.download_project(project.id)
    assert list(files) == ["On the way.json"]
    (uploaded,) = client.upload_project(zip_of(files))
    assert uploaded.data == ECHO["data"]


def test_flows_are_pushed_and_pulled_as_files(client: Client, tmp_path: Path) -> None:
    flow_id = str(uuid.uuid4())
    source = tmp_path / "flows" / "echo.json"
    source.parent.mkdir()
    source.write_text(json.dumps({**ECHO, "id": flow_id, "name": "A file"}))
    assert client.push(source)[1] is True
    assert client.push_project(source.parent)[0][1] is False
    client.pull(flow_id, output=tmp_path / "pulled.json")
    assert json.loads((tmp_path / "pulled.json").read_text())["name"] == "A file"


def test_a_project_is_pulled_into_a_folder(client: Client, tmp_path: Path) -> None:
    project = client.create_project(ProjectCreate(name="Pulled"))
    client.create_flow(echo_named("In the folder", folder_id=str(project.id)))
    assert list(client.pull_project(project.id, output_dir=tmp_path)) == ["In the folder"]


async def test_the_async_client_has_every_method_too(url: str, tmp_path: Path) -> None:
    async with AsyncClient(url, api_key=KEY) as client:
        project = await client.create_project(ProjectCreate(name="Async rivers"))
        flow = await client.create_flow(echo_named("Async in a project", folder_id=str(project.id)))
        assert (await client.upsert_flow(flow.id, echo_named("Async again")))[1] is False
        assert (await client.update_flow(flow.id, FlowUpdate(description="New"))).description == "New"
        assert (await client.get_flow(flow.id)).name == "Async again"
        assert await client.list_flows(size=1)
        chunks = [chunk async for chunk in client.stream(flow.id, "hey")]
        assert "".join(chunk.text or "" for chunk in chunks if chunk.is_token) == "heyhey"
        assert (await client.run_flow(flow.id, Asked(input_value="hi"))).first_text_output() == "hi"
        job = await client.run_background(flow.id, "later")
        assert (await job.wait_for_completion()).first_text_output() == "later"
        files = await client.download_project(project.id)
        assert await client.upload_project(zip_of(files))
        assert list(await client.pull_project(project.id, output_dir=tmp_path)) == ["Async again"]
        assert (await client.get_project(project.id)).flows
        assert await client.list_projects()
        await client.update_project(project.id, ProjectUpdate(name="Async streams"))
        await client.pull(flow.id, output=tmp_path / "pulled.json")
        await client.delete_flow(flow.id)
        await client.delete_project(project.id)


def test_no_method_of_the_sdk_is_left_out() -> None:
    ours = Path(__file__).read_text()
    methods = {
        name for one in (Client, AsyncClient) for name in vars(one) if not name.startswith("_") and name != "close"
    }
    assert {name for name in methods if f"client.{name}(" not in ours} <= {"aclose"}


def zip_of(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def lfx(url: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lfx", *arguments, "--target", url, "--api-key", KEY]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_lfx_logs_in(url: str, tmp_path: Path) -> None:
    assert "Connected" in succeeded(lfx(url, "login", folder=tmp_path))


def test_lfx_pushes_pulls_compares_and_exports(url: str, tmp_path: Path) -> None:
    flow_id = str(uuid.uuid4())
    source = tmp_path / "pushed.json"
    source.write_text(json.dumps({**ECHO, "id": flow_id, "name": "Pushed"}))
    assert "Pushed" in succeeded(lfx(url, "push", str(source), folder=tmp_path))
    succeeded(lfx(url, "pull", "--flow-id", flow_id, "--output-dir", "out", folder=tmp_path))
    (pulled,) = (tmp_path / "out").glob("*.json")
    assert json.loads(pulled.read_text())["name"] == "Pushed"
    assert "synced" in succeeded(lfx(url, "status", str(pulled), folder=tmp_path))
    succeeded(lfx(url, "export", "--flow-id", flow_id, "--output-dir", "exported", folder=tmp_path))
    assert json.loads(next((tmp_path / "exported").glob("*.json")).read_text())["name"] == "Pushed"


def test_lfx_pushes_into_a_project_and_pulls_it(url: str, tmp_path: Path) -> None:
    flow_id = str(uuid.uuid4())
    source = tmp_path / "pushed.json"
    source.write_text(json.dumps({**ECHO, "id": flow_id, "name": "In a new project"}))
    succeeded(lfx(url, "push", str(source), "--project", "Made by lfx", folder=tmp_path))
    succeeded(lfx(url, "pull", "--project", "Made by lfx", "--output-dir", "out", folder=tmp_path))
    assert [json.loads(one.read_text())["id"] for one in (tmp_path / "out").rglob("*.json")] == [flow_id]


def test_lfx_is_told_when_its_key_is_wrong(url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lfx", "login", "--target", url, "--api-key", "wrong"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode != 0


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

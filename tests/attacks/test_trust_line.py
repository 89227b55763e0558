"""Code runs behind the walls and nowhere else, whichever route or verb is given it to look at."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.cases import loading
from tests.attacks.lacing import Bait, requests
from tests.kit.door import Door, run_body
from tests.kit.probes import probe, probe_node
from tests.kit.reference import Reference
from tests.kit.service import Service

# Proof that the walk arrives: these take the code and say yes to it.
SURELY_REACHED = {"post /api/v1/flows/", "post /api/v1/custom_component", "post /api/v1/validate/code"}
# They start and stop whole services, or build images from the network.
NOT_WALKED = {"up", "down", "demo", "image build"}
# This one has a test of its own.
RUNS_HERE = {"run"}


@pytest.fixture
def canary() -> Iterator[Path]:
    """A file that exists once the code has run where it must not; others of its name may be beside it."""
    path = Path(f"/tmp/flowray-canary-{uuid.uuid4()}")
    yield path
    for sung in singing(path):
        sung.unlink()


def singing(canary: Path) -> list[Path]:
    return sorted(canary.parent.glob(f"{canary.name}*"))


@pytest.fixture(params=list(loading.LOADING.values()), ids=list(loading.LOADING))
def source(request: pytest.FixtureRequest, canary: Path) -> str:
    return str(request.param).replace(loading.CANARY, str(canary))


def test_on_the_trusted_side_such_canaries_would_be_seen(canary: Path) -> None:
    code = loading.EVERYWHERE.replace(loading.CANARY, str(canary))

    subprocess.run([sys.executable, "-c", code], check=True)

    assert len(singing(canary)) == len(loading.LOADING) - 1  # lfx refuses code in annotations


def test_no_request_that_the_description_allows_runs_it(canary: Path, door: Door, reference: Reference) -> None:
    flow = probe(reference, loading.EVERYWHERE.replace(loading.CANARY, str(canary)))
    document = door.http.get("/openapi.json").json()

    answers: dict[str, list[int]] = {}
    for one in requests(document, baited(flow, door)):
        response = door.http.request(one.method, one.path, **one.body)
        answers.setdefault(one.operation, []).append(response.status_code)

    assert singing(canary) == []
    assert set(answers) == {f"{method} {path}" for path, found in document["paths"].items() for method in found}
    assert {name: answers[name] for name in SURELY_REACHED if min(answers[name]) >= 300} == {}


def test_no_tool_of_the_model_context_protocol_runs_it(canary: Path, door: Door, reference: Reference) -> None:
    source = loading.EVERYWHERE.replace(loading.CANARY, str(canary))
    flow = probe(reference, source)
    flow["name"] = "canary tool"
    door.publish(flow)

    said = called(door, "tools/call", {"name": "canary_tool", "arguments": {"input_value": source}})

    assert "held: it ran here" in json.dumps(said), said
    assert singing(canary) == []


def baited(flow: dict[str, Any], door: Door) -> Bait:
    """The flow as bait, with ids of things that are there."""
    node_id = probe_node(flow)
    node = next(one for one in flow["data"]["nodes"] if one["id"] == node_id)["data"]["node"]
    kept = door.publish(flow)
    ran = door.http.post(f"/api/v1/run/{kept}", json=run_body("go"))
    project = door.http.get("/api/v1/projects/").json()[0]["id"]
    ids = {"flow": kept, "model": kept, "project": project, "run": ran.headers["x-flowray-run"], "session": kept}
    return Bait(source=node["template"]["code"]["value"], flow=flow, node_id=node_id, node=node, ids=ids)


def called(door: Door, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """What an MCP method answers."""
    accept = {"accept": "application/json, text/event-stream"}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    text = door.http.post("/api/v1/mcp/streamable", json=body, headers=accept).text
    line = next((one[5:] for one in text.splitlines() if one.startswith("data:")), text)
    return dict(json.loads(line)["result"])


def test_no_route_of_the_editor_runs_it(source: str, canary: Path, door: Door, reference: Reference) -> None:
    flow = probe(reference, source)
    node = next(one for one in flow["data"]["nodes"] if one["id"] == probe_node(flow))["data"]["node"]
    change = {"code": source, "frontend_node": node, "template": node["template"], "field": "input_value"}
    bodies: dict[str, Any] = {
        "/api/v1/validate/code": {"code": source},
        "/api/v1/validate/prompt": {"name": "template", "template": source, "frontend_node": node},
        "/api/v1/flows/expand/": {"spec": source},
        "/api/v1/custom_component": {"code": source, "frontend_node": node},
        "/api/v1/custom_component/update": {**change, "field_value": source},
    }

    answers = {path: door.http.post(path, json=body).status_code for path, body in bodies.items()}

    assert {status for status in answers.values() if status in (401, 403, 404, 405)} == set(), answers
    assert singing(canary) == []


def test_no_way_to_keep_or_to_run_a_flow_runs_it(source: str, canary: Path, door: Door, reference: Reference) -> None:
    flow = probe(reference, source)
    kept = door.publish(flow)
    body = {"name": "again", "data": flow["data"]}
    ran = door.http.post(f"/api/v1/run/{kept}", json=run_body("go"))
    door.http.put(f"/api/v1/flows/{uuid.uuid4()}", json=body)
    door.http.patch(f"/api/v1/flows/{kept}", json=body)
    door.http.post("/api/v1/flows/batch/", json={"flows": [body]})
    door.http.post("/api/v1/flows/upload/", files={"file": ("flow.json", json.dumps(body))})
    door.http.post(f"/api/v1/run/advanced/{kept}", json={"inputs": [{"input_value": "go"}]})
    door.http.post("/api/v2/workflows", json={"flow_id": kept, "inputs": {}})
    door.http.post(f"/api/v1/build/{kept}/flow", json={"data": flow["data"]})

    assert "held: it ran here" in ran.text or ran.status_code >= 400
    assert singing(canary) == []


def test_no_verb_of_the_command_line_runs_it(
    canary: Path, service: Service, reference: Reference, tmp_path: Path
) -> None:
    file = tmp_path / "flow.json"
    file.write_text(json.dumps(probe(reference, loading.EVERYWHERE.replace(loading.CANARY, str(canary)))))

    ended = walked(service, file)

    assert singing(canary) == []
    assert {name: ended[name] for name in ("check", "plan", "publish") if ended[name] != 0} == {}, ended


def walked(service: Service, file: Path) -> dict[str, int]:
    """How every verb ends that is given this file wherever it takes anything."""
    command = [sys.executable, "-m", "tests.attacks.verbs", str(file), *NOT_WALKED, *RUNS_HERE]
    done = subprocess.run(command, env=service.environment, capture_output=True, text=True, check=False)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_a_run_in_a_sandbox_of_the_command_line_s_own_stays_there(
    canary: Path, service: Service, reference: Reference, tmp_path: Path
) -> None:
    file = tmp_path / "flow.json"
    source = loading.AT_MODULE_LEVEL.replace(loading.CANARY, str(canary))
    file.write_text(json.dumps(probe(reference, source)))

    ran = service.flowray("run", str(file), "input_value=go", within_s=200)

    assert "held: it ran here" in ran.stdout, ran.stdout + ran.stderr
    assert singing(canary) == []

"""Code runs behind the walls and nowhere else, whichever route or verb is given it to look at."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.cases import loading
from tests.kit.door import Door, run_body
from tests.kit.probes import probe, probe_node
from tests.kit.reference import Reference
from tests.kit.service import Service


@pytest.fixture
def canary() -> Iterator[Path]:
    """A file that exists once the code has run where it must not."""
    path = Path(f"/tmp/flowray-canary-{uuid.uuid4()}")
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture(params=list(loading.LOADING.values()), ids=list(loading.LOADING))
def source(request: pytest.FixtureRequest, canary: Path) -> str:
    return str(request.param).replace(loading.CANARY, str(canary))


def test_on_the_trusted_side_such_a_canary_would_be_seen(canary: Path) -> None:
    code = loading.TOUCH.replace(loading.CANARY, str(canary))

    exec(code, {})  # noqa: S102 - what no route may do

    assert canary.exists()


def test_no_route_of_the_editor_runs_it(source: str, canary: Path, door: Door, reference: Reference) -> None:
    flow = probe(reference, source)
    node = next(one for one in flow["data"]["nodes"] if one["id"] == probe_node(flow))["data"]["node"]
    change = {"code": source, "frontend_node": node, "template": node["template"], "field": "input_value"}
    bodies: dict[str, Any] = {
        "/api/v1/validate/code": {"code": source},
        "/api/v1/validate/prompt": {"name": "template", "template": source, "frontend_node": node},
        "/api/v1/custom_component": {"code": source, "frontend_node": node},
        "/api/v1/custom_component/update": {**change, "field_value": source},
    }

    answers = {path: door.http.post(path, json=body).status_code for path, body in bodies.items()}

    assert {status for status in answers.values() if status in (401, 403, 404, 405)} == set(), answers
    assert not canary.exists()


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
    assert not canary.exists()


def test_no_verb_of_the_command_line_runs_it(
    source: str, canary: Path, service: Service, reference: Reference, tmp_path: Path
) -> None:
    file = tmp_path / "flow.json"
    file.write_text(json.dumps(probe(reference, source)))

    said = [service.flowray(verb, str(file)).returncode for verb in ("check", "plan", "publish")]

    assert all(code in (0, 1, 2) for code in said)
    assert not canary.exists()


def test_a_run_in_a_sandbox_of_the_command_line_s_own_stays_there(
    canary: Path, service: Service, reference: Reference, tmp_path: Path
) -> None:
    file = tmp_path / "flow.json"
    source = loading.AT_MODULE_LEVEL.replace(loading.CANARY, str(canary))
    file.write_text(json.dumps(probe(reference, source)))

    ran = service.flowray("run", str(file), "input_value=go", within_s=200)

    assert "held: it ran here" in ran.stdout, ran.stdout + ran.stderr
    assert not canary.exists()

"""Versions of a flow on a running service: each runs what was published; a migration is tried on recorded runs."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.kit.door import Door, Refused
from tests.kit.service import Service
from tests.kit.web import Web
from tests.unit.build import Raw, document, field, node, output

CODE = """
import httpx
from lfx.custom import Component
from lfx.io import MessageTextInput, Output
from lfx.schema import Message


class Reads(Component):
    inputs = [MessageTextInput(name="url", value=""), MessageTextInput(name="ending", value="")]
    outputs = [Output(name="out", display_name="Out", method="build_out", types=["Message"])]

    async def build_out(self) -> Message:
        return Message(text=str(len(httpx.get(self.url).text)) + self.ending + "ENDING")
"""


def reading(url: str, *, ending: str = "") -> Raw:
    """A flow that says how long a page is, and is recorded."""
    fields = (
        field("url", "Message", _input_type="MessageTextInput", value=url),
        field("ending", "Message", _input_type="MessageTextInput"),
    )
    out = output("out", "Message", display_name="Out", method="build_out", selected="Message", value="__UNDEFINED__")
    made = document(
        node("Reads-1", "Reads", fields=fields, outputs=(out,), code=CODE.replace("ENDING", ending), is_output=True)
    )
    made["data"]["flowray"] = {"record": True}
    return made


def release(tmp_path: Path, flow: Raw) -> str:
    """An index with the component as this flow has it."""
    body = flow["data"]["nodes"][0]["data"]["node"]
    path = tmp_path / f"{uuid.uuid4()}.json"
    path.write_text(json.dumps({"version": "9.9", "entries": [["own", {"Reads": body}]]}))
    return str(path)


def texts(door: Door, flow: str) -> str:
    answer = door.http.post("/api/v2/workflows", json={"flow_id": flow})
    assert answer.is_success, answer.text
    return json.dumps(answer.json()["outputs"])


def recorded_run(door: Door, flow: str, **tweaks: Any) -> str:
    body = {"flow_id": flow, "mode": "background", "tweaks": {"Reads-1": tweaks} if tweaks else {}}
    job = door.http.post("/api/v2/workflows", json=body).raise_for_status().json()
    with door.http.stream("GET", f"/api/v1/runs/{job['job_id']}/events") as events:
        assert '"status":"succeeded"' in "".join(events.iter_lines())
    return str(job["job_id"])


def test_versions_run_side_by_side_and_a_tag_moves_at_once(door: Door, service: Service, web: Web) -> None:
    flow = door.publish({**reading(f"{web.url}/page", ending=" first"), "name": "Side by side"})
    assert service.flowray("versions", "tag", flow, "prod").returncode == 0
    door.http.patch(f"/api/v1/flows/{flow}", json={"data": reading(f"{web.url}/page", ending=" second")["data"]})
    assert [" first" in texts(door, f"{flow}{version}") for version in ("@prod", "@v1", "@v2", "")] == [
        True,
        True,
        False,
        False,
    ]
    assert service.flowray("versions", "tag", flow, "prod", "v2").returncode == 0
    assert " second" in texts(door, f"{flow}@prod")
    assert service.flowray("versions", "rollback", flow, "v1").returncode == 0
    assert " first" in texts(door, flow)
    with pytest.raises(Refused, match="version_not_found"):
        door.run(f"{flow}@staging")


def test_a_migration_is_tried_on_recorded_runs(door: Door, service: Service, web: Web, tmp_path: Path) -> None:
    page = f"{web.url}/page"
    flow = door.publish({**reading(page), "name": "Migrated"})
    run = recorded_run(door, flow, ending=" tweaked")
    asked = len(web.reads)
    same = service.flowray("migrate", flow, "--to", release(tmp_path, reading(page)), "--shadow", run, "--json")
    other = release(tmp_path, reading(page, ending="!"))
    differs = service.flowray("migrate", flow, "--to", other, "--shadow", run, "--json")
    assert (same.returncode, differs.returncode) == (0, 1), same.stderr + differs.stderr
    (shadow,) = json.loads(differs.stdout)["shadow"]
    (found,) = shadow["differences"]
    assert found["node"] == "Reads-1"
    assert " tweaked!" in json.dumps(found["now"])
    assert " tweaked!" not in json.dumps(found["before"])
    assert len(web.reads) == asked
    listed = httpx.get(f"{service.url}/api/v1/flows/{flow}/versions/", headers={"x-api-key": service.key}).json()
    assert [one["version_tag"] for one in listed["entries"]] == ["v1"]


def test_a_folder_is_pulled_edited_and_pushed(door: Door, service: Service, web: Web, tmp_path: Path) -> None:
    flow = door.publish({**reading(f"{web.url}/page"), "name": "In Git"})
    words = (str(tmp_path / "flows"), "--flow", flow)
    assert service.flowray("pull", *words).returncode == 0
    assert service.flowray("diff", *words).returncode == 0
    (file,) = (tmp_path / "flows").glob("*.flow.yaml")
    file.write_text(file.read_text().replace("    values:\n", "    values:\n      ending: ' from Git'\n"))
    assert service.flowray("push", *words).returncode == 0
    assert " from Git" in texts(door, flow)

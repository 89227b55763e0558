"""Flows that run flows: each a run of its own, below the one that asked for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.kit.door import Door, Refused
from tests.kit.subflows import calling, echo


def journal(door: Door, run: str) -> list[dict[str, Any]]:
    text = door.http.get(f"/api/v1/runs/{run}/events").text
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def test_a_flow_runs_another_one_and_answers_what_that_answers(door: Door) -> None:
    child = door.publish(echo("Child"))
    parent = door.publish(calling(child, "Child", name="Parent"))

    answer = door.run(parent, "hello from above")

    assert answer.text == "hello from above"
    children = [one for one in door.http.get("/api/v1/runs").json()["runs"] if one["flow"]["id"] == child]
    assert len(children) == 1
    assert door.http.get(f"/api/v1/runs/{children[0]['id']}").json()["asked_by"] == answer.run
    assert journal(door, children[0]["id"])[0]["asked_by"] == answer.run


def test_a_flow_that_runs_itself_ends_with_an_error(door: Door) -> None:
    flow = door.publish(echo("Endless"))
    canvas = calling(flow, "Endless", name="Endless")
    assert door.http.patch(f"/api/v1/flows/{flow}", json={"data": canvas["data"]}).status_code == 200

    with pytest.raises(Refused) as refused:
        door.run(flow, "again")

    assert refused.value.problem["code"] == "component_failed"
    runs = [one for one in door.http.get("/api/v1/runs").json()["runs"] if one["flow"]["id"] == flow]
    assert len(runs) == 6


def test_a_flow_that_is_not_there_is_named(door: Door) -> None:
    parent = door.publish(calling("4c29e3f6-8f9c-4d7e-b1b0-000000000000", "Missing", name="Orphan"))

    with pytest.raises(Refused) as refused:
        door.run(parent, "hello")

    assert "Missing" in refused.value.problem["detail"]

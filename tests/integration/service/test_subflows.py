"""Flows that run flows: each a run of its own, below the one that asked for it."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest

from tests.kit.door import Door, Refused
from tests.kit.frames import frames
from tests.kit.llm import Llm
from tests.kit.service import Service
from tests.kit.starters import model_tweaks
from tests.kit.subflows import calling, echo, holding, wielding


def journal(door: Door, run: str) -> list[dict[str, Any]]:
    return list(frames(door.http.get(f"/api/v1/runs/{run}/events").text.splitlines()))


def children_of(door: Door, run: str) -> list[dict[str, Any]]:
    return list(door.http.get(f"/api/v1/runs/{run}").json()["children"])


def test_a_flow_runs_another_one_and_answers_what_that_answers(door: Door) -> None:
    child = door.publish(echo("Child"))
    parent = door.publish(calling(child, "Child", name="Parent"))

    answer = door.run(parent, "hello from above")

    assert answer.text == "hello from above"
    children = [one for one in door.http.get("/api/v1/runs").json()["runs"] if one["flow"]["id"] == child]
    assert len(children) == 1
    assert door.http.get(f"/api/v1/runs/{children[0]['id']}").json()["asked_by"] == answer.run
    assert journal(door, children[0]["id"])[0]["asked_by"] == answer.run
    assert children[0]["asked_by"] == answer.run
    (told,) = door.http.get(f"/api/v1/runs/{answer.run}").json()["children"]
    assert (told["run"], told["flow"]) == (children[0]["id"], {"id": child, "name": "Child"})


def test_a_flow_that_runs_itself_ends_with_an_error(door: Door) -> None:
    flow = door.publish(echo("Endless"))
    canvas = calling(flow, "Endless", name="Endless")
    assert door.http.patch(f"/api/v1/flows/{flow}", json={"data": canvas["data"]}).status_code == 200

    with pytest.raises(Refused) as refused:
        door.run(flow, "again")

    assert refused.value.problem["code"] == "component_failed"
    runs = [one for one in door.http.get("/api/v1/runs").json()["runs"] if one["flow"]["id"] == flow]
    assert len(runs) == 6


def test_a_flow_is_part_of_another_one(door: Door) -> None:
    door.publish(echo("Held"))
    parent = door.publish(holding("Held", name="Holder"))

    answer = door.run(parent, "hello from outside")

    assert "hello from outside" in answer.text
    assert [one["flow"]["name"] for one in children_of(door, answer.run)] == ["Held"]


def test_an_agent_calls_a_flow_as_its_tool(door: Door, llm: Llm) -> None:
    door.publish(echo("Wielded"))
    flow = wielding("Wielded", name="Wielder", tool="ask_the_flow")
    parent = door.publish(flow)

    answer = door.run(parent, "hello agent", tweaks=model_tweaks(flow), variables=llm.variables)

    assert "The tool said" in answer.text
    (child,) = children_of(door, answer.run)
    assert child["flow"]["name"] == "Wielded"
    assert door.http.get(f"/api/v1/runs/{child['run']}").json()["status"] == "succeeded"


def test_a_tenant_that_may_run_one_thing_at_a_time_runs_flows_that_run_flows(service: Service) -> None:
    name = f"t{secrets.token_hex(6)}"
    for words in (f"tenant create {name}", f"quota set {name} runs=1 steps=1"):
        done = service.flowray(*words.split())
        assert done.returncode == 0, done.stderr
    key = json.loads(service.flowray("key", "create", "--tenant", name, "--json").stdout)["api_key"]
    with service.client(key) as http:
        narrow = Door(http)
        inner = narrow.publish(echo("Inner"))
        middle = narrow.publish(calling(inner, "Inner", name="Middle"))
        outer = narrow.publish(calling(middle, "Middle", name="Outer"))

        answer = narrow.run(outer, "through the eye of a needle")

    assert answer.text == "through the eye of a needle"


def test_a_flow_runs_a_version_of_another_one(door: Door) -> None:
    child = door.publish(echo("Tagged child"))
    canvas = echo("Tagged child")["data"]
    canvas["nodes"][0]["data"]["node"]["template"]["sender_name"]["value"] = "Somebody else"
    assert door.http.put(f"/api/v1/flows/{child}/tags/prod", json={"version": "v1"}).status_code == 200
    changed = door.http.patch(f"/api/v1/flows/{child}", json={"data": canvas}).json()
    names = {"now": (child, "Tagged child"), "by id": (f"{child}@prod", ""), "by name": ("", "Tagged child@prod")}

    ran = {}
    for how, (child_id, name) in names.items():
        answer = door.run(door.publish(calling(child_id, name, name=f"Caller {how}")), "hello")
        (told,) = children_of(door, answer.run)
        ran[how] = door.http.get(f"/api/v1/runs/{told['run']}").json()["flow"]["version"]

    assert ran["now"] == changed["version"]
    assert ran["by id"] == ran["by name"] != ran["now"]
    with pytest.raises(Refused) as refused:
        door.run(door.publish(calling(f"{child}@nope", "Tagged child", name="Caller of none")), "hello")
    assert "`Tagged child` has no version `nope`" in refused.value.problem["detail"]


def test_a_flow_that_is_not_there_is_named(door: Door) -> None:
    parent = door.publish(calling("4c29e3f6-8f9c-4d7e-b1b0-000000000000", "Missing", name="Orphan"))

    with pytest.raises(Refused) as refused:
        door.run(parent, "hello")

    assert "Missing" in refused.value.problem["detail"]

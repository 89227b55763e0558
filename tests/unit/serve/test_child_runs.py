"""Runs that steps start: whose they are, how deep they go, what they are given."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowray.engine.events import ChildStarted, RunAccepted, RunId
from flowray.engine.ports import RunRequest
from flowray.errors import NotFoundError
from flowray.flow.types import NodeId
from flowray.plan.types import StepId
from flowray.runner.asking import Ask, NotAnsweredError
from flowray.runner.flow_desk import FlowDesk
from flowray_serve.child_runs import ChildRuns, TooDeepError
from flowray_serve.run_service import RunOrder
from tests.unit.serve.service import ECHO, Service, canvas, drawn, service


async def opened(deepest: int = 2) -> tuple[Service, ChildRuns, RunRequest, str]:
    made = service()
    flow = await made.publish(ECHO)
    children = ChildRuns(made.services.store, deepest=deepest)
    children.open(made.services.runs)
    order = RunOrder(input_value="above", variables={"KEY": "secret-1"})
    return made, children, await made.services.runs.prepare("default", flow, order), flow


def run(flow: str, **details: object) -> Ask:
    return Ask(what="flows.run", details={"flow_id": flow, "inputs": [{"input_value": "hi"}], **details})


async def test_a_child_is_a_run_of_its_own_below_its_parent() -> None:
    made, children, parent, flow = await opened()

    told: list[object] = []
    ask = replace(run(flow, session_id="s1"), step="s1", tell=told.append)
    answer = await children.answer(parent, ask)

    assert told == [ChildStarted(step=StepId("s1"), child=RunId(answer.value["run"]), flow=flow, flow_name="Echo")]
    child = made.steps.requests[-1]
    journal = [one async for one in made.journal.read("default", RunId(answer.value["run"]))]
    first = journal[0].event
    assert isinstance(first, RunAccepted)
    assert (first.asked_by, child.asked_by, child.depth) == (parent.run, parent.run, 1)
    assert (child.input_value, child.session, child.tenant) == ("hi", "s1", "default")
    assert child.variables["KEY"] == "secret-1"
    assert answer.value["results"][0]["results"]["message"]["text"] == "hi"


async def test_of_a_flow_that_a_step_runs_what_is_connected_to_its_entry_runs() -> None:
    made, children, parent, _ = await opened()
    loose = await made.publish({**canvas(drawn("ChatInput-1"), drawn("Prompt-9")), "name": "Loose"})

    await children.answer(parent, run(loose))

    assert made.steps.requests[-1].only_nodes == frozenset({NodeId("ChatInput-1")})


async def test_a_flow_may_be_named_and_its_inputs_tweaked() -> None:
    made, children, parent, flow = await opened()
    name = (await made.http.get(f"/api/v1/flows/{flow}")).json()["name"]
    tweaks = {"ChatInput-1": {"input_value": "tweaked"}}

    await children.answer(
        parent, Ask(what="flows.run", details={"flow_name": name, "tweaks": tweaks, "inputs": [{"input_value": "hi"}]})
    )

    request = made.steps.requests[-1]
    assert request.input_value is None
    assert request.flow.nodes[0].fields["input_value"].value == "tweaked"


async def test_a_flow_may_be_named_in_a_version() -> None:
    made, children, parent, flow = await opened()
    await made.http.put(f"/api/v1/flows/{flow}/tags/prod", json={"version": "v1"})
    other = canvas(drawn("TextInput-1", input_value={"type": "str", "value": ""}))["data"]
    assert (await made.http.patch(f"/api/v1/flows/{flow}", json={"data": other})).status_code == 200
    desk = FlowDesk(made.services.store)

    found = (await desk.find(parent, Ask(what="flows.find", details={"flow_name": "Echo@prod"}))).value
    await children.answer(parent, run(found["id"]))

    assert found["id"] == f"{flow}@prod"
    assert found["data"]["nodes"][0]["id"] == "ChatInput-1"
    assert made.steps.requests[-1].flow.nodes[0].id == "ChatInput-1"
    await children.answer(parent, run(flow))
    assert made.steps.requests[-1].flow.nodes[0].id == "TextInput-1"


@pytest.mark.parametrize("session", ["talk", None])
async def test_what_a_step_looks_up_and_then_runs_is_one_version_canary_or_not(session: str | None) -> None:
    made, children, _, flow = await opened()
    other = canvas(drawn("TextInput-1", input_value={"type": "str", "value": ""}))["data"]
    assert (await made.http.patch(f"/api/v1/flows/{flow}", json={"data": other})).status_code == 200
    tag = {"version": "v1", "canary": {"version": "v2", "share": 0.5}}
    assert (await made.http.put(f"/api/v1/flows/{flow}/tags/prod", json=tag)).status_code == 200
    desk, seen = FlowDesk(made.services.store), list[set[str]]()

    for number in range(30):
        order = RunOrder(session=session and f"{session}-{number % 10}")
        parent = await made.services.runs.prepare("default", flow, order)
        found = (await desk.find(parent, Ask(what="flows.find", details={"flow_name": "Echo@prod"}))).value
        await children.answer(parent, run(found["id"]))
        seen.append({found["data"]["nodes"][0]["id"], made.steps.requests[-1].flow.nodes[0].id})

    assert all(len(one) == 1 for one in seen)
    assert set.union(*seen) == {"ChatInput-1", "TextInput-1"}
    assert session is None or seen[:10] == seen[10:20] == seen[20:]


@pytest.mark.parametrize("name", ["Echo@nope", "Echo@"])
async def test_a_version_that_is_not_there_is_neither_found_nor_run(name: str) -> None:
    made, children, parent, _ = await opened()
    details = {"flow_name": name}

    with pytest.raises(NotFoundError):
        await children.answer(parent, Ask(what="flows.run", details=details))
    if name.endswith("nope"):
        with pytest.raises(NotFoundError, match="no version `nope`"):
            await FlowDesk(made.services.store).find(parent, Ask(what="flows.find", details=details))


async def test_an_at_in_a_flows_own_name_is_part_of_it() -> None:
    made, children, parent, _ = await opened()
    other = await made.publish({**ECHO, "name": "Mail to@prod"})

    await children.answer(parent, Ask(what="flows.run", details={"flow_name": "Mail to@prod"}))

    assert made.steps.requests[-1].flow_id == other


async def test_no_flow_of_another_tenant_is_run_or_found() -> None:
    made, children, parent, flow = await opened()
    stranger = replace(parent, tenant="other")

    with pytest.raises(NotFoundError):
        await children.answer(stranger, run(flow))
    desk = FlowDesk(made.services.store)
    assert (await desk.find(stranger, Ask(what="flows.find", details={"flow_id": flow}))).value is None
    assert (await desk.list(stranger, Ask(what="flows.list"))).value == []


async def test_flows_are_found_with_their_canvas_and_listed_without() -> None:
    made, _, parent, flow = await opened()
    desk = FlowDesk(made.services.store)

    found = (await desk.find(parent, Ask(what="flows.find", details={"flow_id": flow}))).value
    listed = (await desk.list(parent, Ask(what="flows.list", details={"beside": True}))).value

    assert found["data"]["nodes"][0]["id"] == "ChatInput-1"
    assert [(one["id"], "data" in one) for one in listed] == [(flow, False)]


async def test_flows_run_one_another_only_so_deep() -> None:
    _, children, parent, flow = await opened(deepest=2)

    with pytest.raises(TooDeepError, match="2 levels"):
        await children.answer(replace(parent, depth=2), run(flow))


async def test_what_is_not_a_run_is_not_answered() -> None:
    _, children, parent, _ = await opened()

    with pytest.raises(NotAnsweredError):
        await children.answer(parent, Ask(what="other"))

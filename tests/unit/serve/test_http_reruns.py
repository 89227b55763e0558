"""Running again from a node, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.events import RunId
from flowray.engine.leasing import QueueFullError
from flowray.engine.ports import RunRequest
from flowray.flow.types import NodeId
from flowray_serve.queueing.acceptance import Acceptance
from flowray_serve.queueing.reruns import Reruns
from tests.unit.serve.flows import message_result
from tests.unit.serve.service import ECHO, OTHER_KEY, Held, Service, service
from tests.unit.serve.test_http_background import ended, submitted
from tests.unit.serve.test_http_run import failing


async def saying(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
    """Nodes that are left say what their `input_value` field holds."""
    for node in request.plan.by_id[step.step].nodes:
        if node not in step.done:
            yield ev.NodeStarted(node=node)
            field = request.flow.by_id[node].fields.get("input_value")
            text = str(field.value if field else "")
            yield ev.NodeFinished(node=node, outputs={}, result=message_result(node, text))


async def test_a_failed_run_is_run_again_from_a_node_with_another_value() -> None:
    made = service()
    made.steps.script = failing
    flow_id = await made.publish(ECHO)
    failed = await made.http.post(f"/api/v1/run/{flow_id}", json={"input_value": "hi"})
    run = failed.json()["run"]
    made.steps.script = saying

    answer = await made.http.post(
        f"/api/v1/runs/{run}/rerun", json={"from": "ChatOutput-1", "set": {"ChatOutput-1.input_value": "better"}}
    )

    job = answer.json()
    assert (answer.status_code, job["status"]) == (202, "queued")
    assert job["parent"] == {"run": run, "from_node": "ChatOutput-1"}
    async with made.engine():
        over = (await ended(made, job)).json()
    assert (over["status"], over["output"]["text"]) == ("completed", "better")
    story = (await made.http.get(f"/api/v1/runs/{job['job_id']}")).json()
    assert story["parent"] == {"run": run, "from_node": "ChatOutput-1"}


async def test_a_run_whose_request_was_not_kept_says_so() -> None:
    made = service()
    done = await made.http.post(f"/api/v1/run/{await made.publish(ECHO)}", json={"input_value": "hi"})
    refused = await made.http.post(f"/api/v1/runs/{done.headers['x-flowray-run']}/rerun", json={"from": "ChatOutput-1"})
    assert (refused.status_code, refused.json()["code"]) == (404, "request_not_kept")


@pytest.mark.parametrize(("way", "body"), [("rerun", {"from": "ChatOutput-1"}), ("replay", {})])
async def test_a_run_that_the_store_has_lost_is_not_run_again_until_it_is_back(way: str, body: dict[str, str]) -> None:
    made = service()
    job = await submitted(made, await made.publish(ECHO))
    made.queue.empty()
    early = await made.http.post(f"/api/v1/runs/{job['job_id']}/{way}", json=body)
    assert (early.status_code, early.json()["code"]) == (503, "store_forgot")


async def test_a_value_of_a_node_that_does_not_run_again_is_refused() -> None:
    made = service()
    made.steps.script = failing
    failed = await made.http.post(f"/api/v1/run/{await made.publish(ECHO)}", json={"input_value": "hi"})
    path = f"/api/v1/runs/{failed.json()['run']}/rerun"
    unknown = await made.http.post(path, json={"from": "nobody"})
    before = await made.http.post(path, json={"from": "ChatOutput-1", "set": {"ChatInput-1.input_value": "x"}})
    theirs = await made.http.post(path, json={"from": "ChatOutput-1"}, headers={"x-api-key": OTHER_KEY})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_node")
    assert (before.status_code, "no field of a node that runs again" in before.json()["detail"]) == (422, True)
    assert theirs.status_code == 404


@pytest.mark.parametrize(
    ("by_tenant", "by_flow", "recorded"),
    [(False, None, False), (True, None, True), (True, False, False), (False, True, True)],
)
async def test_runs_are_recorded_as_the_flow_says_and_else_as_the_tenant_does(
    *, by_tenant: bool, by_flow: bool | None, recorded: bool
) -> None:
    made = service()
    await made.services.tenants.settle("default", {"record": by_tenant})
    said = {} if by_flow is None else {"flowray": {"record": by_flow}}
    await made.http.post(f"/api/v1/run/{await made.publish({**ECHO, 'data': ECHO['data'] | said})}", json={})
    assert made.steps.requests[-1].record is recorded


@pytest.mark.parametrize("named", ["v1", "{id}@v1", "{id}"])
async def test_a_run_is_replayed_with_another_version_of_its_flow(named: str) -> None:
    made = service()
    made.steps.script = saying
    recorded = {**ECHO, "data": ECHO["data"] | {"flowray": {"record": True}}}
    flow_id = await made.publish(recorded)
    run = (await made.http.post(f"/api/v1/run/{flow_id}", json={"input_value": "hi"})).headers["x-flowray-run"]
    answer = await made.http.post(f"/api/v1/runs/{run}/replay", json={"flow": named.format(id=flow_id)})
    assert (answer.status_code, answer.json()["flow_id"]) == (202, flow_id)


@pytest.mark.parametrize("query", ["", "?stream=true"])
async def test_a_recorded_run_that_was_stopped_is_replayed_too(query: str) -> None:
    made = service()
    made.steps.script = held = Held()
    recorded = {**ECHO, "data": ECHO["data"] | {"flowray": {"record": True}}}
    calling = asyncio.create_task(made.http.post(f"/api/v1/run/{await made.publish(recorded)}{query}", json={}))
    await held.began.wait()
    path = f"/api/v1/runs/{made.steps.requests[0].run}"
    await made.http.post(f"{path}/cancel")
    await calling

    assert (await made.http.post(f"{path}/replay", json={})).status_code == 202


async def test_a_version_that_the_flow_does_not_have_is_named() -> None:
    made = service()
    recorded = {**ECHO, "data": ECHO["data"] | {"flowray": {"record": True}}}
    run = (await made.http.post(f"/api/v1/run/{await made.publish(recorded)}", json={})).headers["x-flowray-run"]
    refused = await made.http.post(f"/api/v1/runs/{run}/replay", json={"flow": "v7"})
    assert (refused.status_code, refused.json()["code"]) == (404, "version_not_found")


async def ran_in_the_background(made: Service) -> RunId:
    job = await submitted(made, await made.publish(ECHO))
    async with made.engine():
        await ended(made, job)
    return RunId(job["job_id"])


async def test_a_run_from_a_node_that_the_store_has_lost_still_begins_there() -> None:
    made = service()
    run = await ran_in_the_background(made)
    job = (await made.http.post(f"/api/v1/runs/{run}/rerun", json={"from": "ChatOutput-1"})).json()
    begun = [one async for one in made.journal.read("default", RunId(job["job_id"]))]

    made.queue.empty()
    made.journal.empty()
    await made.services.jobs.recovery.recover()

    assert any(isinstance(one.event, ev.NodeFinished) for one in begun)
    assert [one async for one in made.journal.read("default", RunId(job["job_id"]))] == begun


async def test_a_run_from_a_node_has_to_find_room_in_the_queue_and_leaves_nothing_when_there_is_none() -> None:
    made = service()
    run, jobs = await ran_in_the_background(made), made.services.jobs

    async def no_more(_: str) -> int:
        return 0

    full = Acceptance(jobs.requests, made.queue, made.journal, made.objects, admit=no_more)
    reruns = Reruns(jobs.requests, full, made.journal)

    with pytest.raises(QueueFullError):
        await reruns.rerun("default", run, start=NodeId("ChatOutput-1"), values={})

    assert (await made.queue.stats()).waiting == 0
    assert [kept async for _, kept, _ in jobs.requests.open()] == [run]

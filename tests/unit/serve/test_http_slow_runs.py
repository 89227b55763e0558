"""Runs that take longer than whoever waits for them may wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.ports import RunRequest
from tests.unit.serve.service import ECHO, Held, service


async def test_a_synchronous_run_that_outlasts_its_time_is_stopped() -> None:
    made, held = service(sync_s=0.05), Held()
    made.steps.script = held
    flow_id = await made.publish(ECHO)
    response = await made.http.post(f"/api/v1/run/{flow_id}", json={})
    assert (response.status_code, response.json()["code"]) == (504, "run_timeout")
    assert held.ended.is_set()
    run = response.headers["x-flowray-run"]
    assert (await made.http.get(f"/api/v1/runs/{run}")).json()["status"] == "cancelled"


async def test_a_run_that_outlasts_its_time_says_at_which_node_it_was() -> None:
    made = service(sync_s=0.2)
    made.steps.script = stuck
    response = await made.http.post(f"/api/v1/run/{await made.publish(ECHO)}", json={})
    problem = response.json()
    assert (problem["code"], problem["node"]) == ("run_timeout", "ChatOutput-1")
    assert "It was at `ChatOutput-1`." in problem["detail"]


async def stuck(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
    """Get as far as the step's last node."""
    *before, last = request.plan.by_id[step.step].nodes
    for node in before:
        yield ev.NodeStarted(node=node)
        yield ev.NodeFinished(node=node, outputs={}, took_s=0.0)
    yield ev.NodeStarted(node=last)
    await asyncio.Event().wait()

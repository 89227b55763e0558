"""Steps for a Runner whose sandboxes follow a script, and what becomes of them."""

from __future__ import annotations

from typing import Any

from flowray.engine.commands import StartStep
from flowray.engine.events import (
    RunId,
    StepEvent,
    StepFailed,
)
from flowray.engine.ports import RunRequest
from flowray.flow.types import NodeId
from flowray.plan.types import StepId
from flowray.runner.runner import Runner
from flowray.sandbox.child import Exit
from tests.unit.build import dag_of, plan_of
from tests.unit.runner.kit import Peer

A, B, STEP = NodeId("a"), NodeId("b"), StepId("a")


def request_of(**facts: Any) -> RunRequest:
    wanted: dict[str, Any] = {"flow": dag_of(a="", b="a"), "plan": plan_of(a="", b="a"), **facts}
    return RunRequest(run=RunId("r1"), tenant="acme", flow_id="f1", session="s1", **wanted)


async def events_of(
    runner: Runner, request: RunRequest | None = None, start: StartStep | None = None
) -> list[StepEvent]:
    batches = runner.run(request or request_of(), start or StartStep(step=STEP))
    return [event async for batch in batches for event in batch]


async def last_of(runner: Runner, **facts: Any) -> StepFailed:
    last = (await events_of(runner, request_of(**facts)))[-1]
    assert isinstance(last, StepFailed)
    return last


async def one_node(peer: Peer) -> Exit | None:
    await peer.spec()
    await peer.event("node_started")
    await peer.event("node_finished", outputs={"out": {"type": "text", "json": "hello"}}, result={"r": 1})
    await peer.result(took_s=0.01)
    return None

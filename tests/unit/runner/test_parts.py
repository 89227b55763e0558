"""Steps of which only a part is run, that pause, or whose nodes have limits of their own."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import orjson
import pytest

from flowray.component.terms import Terms
from flowray.engine.commands import StartStep
from flowray.engine.events import NodePaused, NodeStarted, StepFailed, StepFinished, StepPaused
from flowray.engine.values import Ref, Value
from flowray.flow.types import Json, NodeId
from flowray.plan.types import Plan, Step
from flowray.runner import frames
from flowray.runner.frames import frame
from flowray.sandbox.child import Exit
from tests.unit.build import dag_of, plan_of
from tests.unit.runner.conftest import Started
from tests.unit.runner.kit import FakeObjects, Peer
from tests.unit.runner.steps import STEP, events_of, request_of

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")


def together() -> dict[str, Any]:
    """A flow of three nodes in one step."""
    plan = plan_of(a="", b="a", c="b")
    whole: Plan = replace(plan, steps=(Step(id=STEP, nodes=(A, B, C)),))
    return {"flow": dag_of(a="", b="a", c="b"), "plan": whole}


async def test_a_sandbox_is_given_what_has_finished_and_builds_what_is_left(runner_with: Started) -> None:
    specs: list[dict[str, Any]] = []

    async def script(peer: Peer) -> Exit | None:
        specs.append(await peer.spec())
        await peer.result(took_s=0.01)
        return None

    start = StartStep(
        step=STEP,
        upstream={A: {"out": Value(type="text", json="hello")}},
        done=frozenset({A}),
        later=frozenset({C}),
        answers={"r1": {"action_id": "yes"}},
    )
    await events_of(await runner_with(script), request_of(**together()), start)
    [spec] = specs
    assert (spec["build"], spec["later"]) == (["b"], ["c"])
    assert spec["upstream"] == {"a": {"out": {"type": "text", "json": "hello"}}}
    assert spec["answers"] == {"r1": {"action_id": "yes"}}


async def test_a_paused_nodes_state_is_stored_and_given_back(runner_with: Started) -> None:
    objects = FakeObjects()
    given: list[bytes] = []

    async def pausing(peer: Peer) -> Exit | None:
        spec = await peer.spec()
        given.extend(peer.blobs[number] for number in spec["states"].values())
        await peer.event("node_started")
        await peer.send(frame(frames.BLOB, b"thread"))
        await peer.event("node_paused", request={"request_id": "r1"}, state=0)
        await peer.result(took_s=0.01)
        return None

    runner = await runner_with(pausing, objects=objects)
    *_, paused, last = await events_of(runner)
    assert isinstance(last, StepPaused)
    assert isinstance(paused, NodePaused)
    assert isinstance(paused.state, Ref)

    await events_of(runner, start=StartStep(step=STEP, states={A: paused.state}))
    assert given == [b"thread"]


async def test_a_node_that_runs_longer_than_it_may_is_stopped_and_named(runner_with: Started) -> None:
    async def slow(peer: Peer) -> Exit | None:
        spec = await peer.spec()
        assert spec["timed"] == ["a"]
        await peer.event("node_started")
        await peer.forever()
        return None

    plan = replace(plan_of(a="", b="a"), terms={A: Terms(wall_s=0.05)})
    failed = (await events_of(await runner_with(slow), request_of(plan=plan)))[-1]
    assert isinstance(failed, StepFailed)
    assert (failed.kind, failed.node, failed.error) == ("timeout", "a", "The node ran longer than its limit of 0.05 s.")


async def test_a_cautious_node_begins_once_its_start_is_taken(runner_with: Started) -> None:
    told: list[str] = []

    async def asking(peer: Peer) -> Exit | None:
        spec = await peer.spec()
        assert spec["cautious"] == ["a"]
        await peer.event("node_started")
        await peer.send(frame(frames.ASK, orjson.dumps({"ask": 1, "what": "begin", "node": "a"})))
        kind, payload = await peer.frame()
        assert (kind, orjson.loads(payload)["ok"]) == (frames.REPLY, True)
        told.append("begun")
        await peer.event("node_finished", outputs={}, result=None)
        await peer.result(took_s=0.01)
        return None

    plan = replace(plan_of(a="", b="a"), terms={A: Terms(effect="skip")})
    async with aclosing((await runner_with(asking)).run(request_of(plan=plan), StartStep(step=STEP))) as batches:
        first = await anext(batches)
        assert isinstance(first[-1], NodeStarted)
        await asyncio.sleep(0)
        assert told == []
        rest = [event async for batch in batches for event in batch]
    assert told == ["begun"]
    assert isinstance(rest[-1], StepFinished)


async def test_a_cautious_node_that_asks_after_its_start_was_told_begins_as_well(runner_with: Started) -> None:
    told = asyncio.Event()

    async def asking(peer: Peer) -> Exit | None:
        await peer.spec()
        await peer.event("node_started")
        await told.wait()
        await peer.send(frame(frames.ASK, orjson.dumps({"ask": 1, "what": "begin", "node": "a"})))
        kind, payload = await peer.frame()
        assert (kind, orjson.loads(payload)["ok"]) == (frames.REPLY, True)
        await peer.event("node_finished", outputs={}, result=None)
        await peer.result(took_s=0.01)
        return None

    plan = replace(plan_of(a="", b="a"), terms={A: Terms(effect="skip")})
    batches = []
    async for batch in (await runner_with(asking)).run(request_of(plan=plan), StartStep(step=STEP)):
        batches.append(batch)
        told.set()
    assert all(batches), "nothing new is no news"
    assert isinstance(batches[-1][-1], StepFinished)


async def test_a_node_that_need_not_ask_may_not(runner_with: Started) -> None:
    async def asking(peer: Peer) -> Exit | None:
        await peer.spec()
        await peer.send(frame(frames.ASK, orjson.dumps({"ask": 1, "what": "begin", "node": "a"})))
        await peer.forever()
        return None

    failed = (await events_of(await runner_with(asking)))[-1]
    assert isinstance(failed, StepFailed)
    assert (failed.kind, "need not ask" in failed.error) == ("protocol", True)


@pytest.mark.parametrize("node", [[], {}, None, "b"])
async def test_asking_to_begin_what_is_no_node_of_the_job_breaks_the_rules(runner_with: Started, node: Json) -> None:
    async def asking(peer: Peer) -> Exit | None:
        await peer.spec()
        asked = frame(frames.ASK, orjson.dumps({"ask": 1, "what": "begin", "node": node}))
        await peer.send(asked + frame(frames.RESULT, b"{}"))
        return None

    plan = replace(plan_of(a="", b="a"), terms={A: Terms(effect="skip")})
    failed = (await events_of(await runner_with(asking), request_of(plan=plan)))[-1]
    assert isinstance(failed, StepFailed)
    assert (failed.kind, "need not ask" in failed.error) == ("protocol", True)

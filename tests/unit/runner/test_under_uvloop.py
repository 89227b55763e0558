"""Runners live in Ray Serve's replicas, whose event loop is uvloop's: it is no asyncio where nobody looks."""

from __future__ import annotations

import asyncio

import pytest

from flowray.engine.commands import StartStep
from flowray.engine.events import MessageAdded, StepFinished
from flowray.runner.pool import PoolSize
from flowray.runner.runner import Rules, Runner
from tests.unit.runner.kit import FakeNursery, FakeObjects, Peer
from tests.unit.runner.steps import STEP, events_of

SPOKEN = 50


def test_what_a_sandbox_says_while_its_last_words_are_due_is_heard() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def script(peer: Peer) -> None:
        await peer.spec()
        for number in range(SPOKEN):
            await peer.event("message", message={"id": f"m{number}"})
        await peer.result()

    async def born() -> FakeNursery:
        return FakeNursery(script)

    async def heard() -> list[object]:
        runner = Runner(born, objects=FakeObjects(), rules=Rules(size=PoolSize(spares=1)))
        await runner.start()
        try:
            return list(await events_of(runner, start=StartStep(step=STEP)))
        finally:
            await runner.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        events = loop.run(heard())

    assert [type(event) for event in events].count(MessageAdded) == SPOKEN
    assert isinstance(events[-1], StepFinished)

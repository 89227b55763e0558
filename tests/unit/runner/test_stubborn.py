"""Sandboxes that do not do what they are asked: nobody waits for them longer than they may make anybody wait."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from contextlib import aclosing
from dataclasses import replace

from flowray.engine.commands import StartStep
from flowray.engine.events import StepFinished
from flowray.runner import frames
from flowray.runner.frames import Caps
from flowray.runner.pool import PoolSize
from flowray.sandbox.child import Exit
from tests.unit.runner.conftest import Started
from tests.unit.runner.kit import Peer, died_of
from tests.unit.runner.steps import STEP, events_of, last_of, request_of

MANY = 16_000_000
SHORT = Caps(grace_s=0.05)


async def test_a_sandbox_that_ignores_its_cancellation_is_killed_after_a_grace_period(
    runner_with: Started,
) -> None:
    ignored = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.event("node_started")
        assert await peer.frame() == (frames.CANCEL, b"")
        ignored.set()
        await peer.forever()

    runner = await runner_with(script, caps=SHORT)
    async with aclosing(runner.run(request_of(), StartStep(step=STEP))) as batches:
        async for _ in batches:
            break
    await ignored.wait()
    assert runner.stats().at_work == 1
    async with asyncio.timeout(5):
        await runner.close()
    assert (runner.stats().at_work, runner.stats().served) == (0, 1)


async def test_a_sandbox_that_does_not_read_its_spec_holds_nobody_up_but_itself(
    runner_with: Started,
) -> None:
    deaf = True

    async def script(peer: Peer) -> None:
        nonlocal deaf
        if deaf:
            deaf = False
            await peer.forever()
        await peer.spec()
        await peer.result()

    size = PoolSize(spares=2, wait_s=5, drain_s=5)
    runner = await runner_with(script, size=size, caps=SHORT)
    stuck = asyncio.create_task(last_of(runner, input_value="x" * MANY))
    await asyncio.sleep(0)

    events = await events_of(runner)

    assert isinstance(events[-1], StepFinished)
    assert not stuck.done()
    stuck.cancel()
    await asyncio.wait([stuck])
    async with asyncio.timeout(5):
        await runner.close()
    assert runner.stats().at_work == 0


async def test_a_sandbox_that_takes_long_to_go_was_short_of_memory_if_its_group_says_so(runner_with: Started) -> None:
    async def script(peer: Peer) -> Exit:
        await peer.spec()
        peer.hang_up()
        with contextlib.suppress(asyncio.CancelledError):
            await peer.forever()
        return replace(died_of(signal.SIGKILL), short_of_memory=True)

    failed = await last_of(await runner_with(script, caps=Caps(linger_s=0.02)))

    assert failed.kind == "memory"

"""A run waits for a reader that is far behind while it goes on, and for none that has left."""

from __future__ import annotations

import asyncio

from flowray.engine.events import Recorded, RunId, RunStarted
from flowray_serve.listening import Listener

FAR = 10_000


async def tell_all(listener: Listener, told: list[int]) -> None:
    for seq in range(1, FAR + 1):
        await listener.tell(Recorded(seq=seq, at=0.0, run=RunId("r"), event=RunStarted(engine="e")))
        told.append(seq)
    listener.end()


async def stalled(told: list[int]) -> int:
    """How far the telling went before it had to wait."""
    before = -1
    while before != len(told):
        before = len(told)
        for _ in range(10):
            await asyncio.sleep(0)
    return before


async def test_a_reader_that_stands_still_holds_the_run_and_loses_nothing() -> None:
    listener, told = Listener(), list[int]()

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(tell_all(listener, told))
        ahead = await stalled(told)
        heard = [one.seq async for one in listener.events()]

    assert 0 < ahead < FAR // 10
    assert heard == list(range(1, FAR + 1))


async def test_a_reader_that_leaves_lets_the_run_go_on() -> None:
    listener, told = Listener(), list[int]()

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(tell_all(listener, told))
        await stalled(told)
        listener.leave()

    assert len(told) == FAR


async def test_a_run_that_ends_waits_for_no_reader_and_all_that_was_told_is_heard() -> None:
    listener, told = Listener(), list[int]()
    telling = asyncio.create_task(tell_all(listener, told))
    ahead = await stalled(told)
    telling.cancel()
    await asyncio.wait({telling})

    listener.end()

    assert [one.seq async for one in listener.events()] == list(range(1, ahead + 1))

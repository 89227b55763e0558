from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from flowray.engine.events import Token
from flowray.flow.types import NodeId
from flowray.runner.dialogue import Dialogue
from flowray.runner.frames import Caps
from flowray.runner.inquiry import Ear
from flowray.runner.masking import Mask
from flowray.runner.verdict import Job
from flowray.sandbox.limits import Limits
from tests.unit.runner.kit import FakeSandbox, Peer

A = NodeId("a")
LONGER_THAN_EVENTS_PILE_UP_S = 0.1


@pytest.fixture
async def dialogue() -> AsyncIterator[Dialogue]:
    sandbox = FakeSandbox(Peer.forever)
    job = Job(nodes=frozenset([A]), known=frozenset([A]), limits=Limits(), mask=Mask(()), caps=Caps())
    yield Dialogue(sandbox, job, Ear())
    sandbox.close()


async def test_what_is_said_while_somebody_wakes_is_told_once_and_wakes_nobody_later(dialogue: Dialogue) -> None:
    first, second, third = (Token(node=A, text=text) for text in ("one", "two", "three"))
    loop = asyncio.get_running_loop()

    async def heard() -> list[object]:
        return [list(await dialogue.events()), list(await dialogue.events())]

    hearing = asyncio.create_task(heard())
    await asyncio.sleep(0)
    dialogue.add(first)
    loop.call_later(0, dialogue.add, second)
    loop.call_later(LONGER_THAN_EVENTS_PILE_UP_S, dialogue.add, third)

    assert await hearing == [[first, second], [third]]

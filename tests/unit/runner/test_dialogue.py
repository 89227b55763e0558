from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence

import pytest

from flowray.engine.events import Token
from flowray.errors import SandboxUnavailableError
from flowray.flow.types import NodeId
from flowray.plan.types import StepId
from flowray.runner.dialogue import Dialogue, WayOut
from flowray.runner.frames import Caps
from flowray.runner.inquiry import Ear
from flowray.runner.masking import Mask
from flowray.runner.verdict import Job
from flowray.sandbox import relay
from flowray.sandbox.doors import doors_of
from flowray.sandbox.egress import Gate
from flowray.sandbox.limits import Limits
from flowray.sandbox.policy import Policy
from tests.unit.runner.kit import FakeSandbox, Peer

A = NodeId("a")
LONGER_THAN_EVENTS_PILE_UP_S = 0.1


class Sandbox(FakeSandbox):
    """One that is cut off from its network once its doors are made."""

    doors: Sequence[socket.socket] = ()

    async def listen(self, doors: Sequence[tuple[str, int]]) -> Sequence[socket.socket]:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.doors = [self.listener.dup() for _ in doors]
        self.listener.close()
        return self.doors


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(Peer.forever)
    yield sandbox
    sandbox.close()


@pytest.fixture
async def dialogue(sandbox: Sandbox) -> Dialogue:
    job = Job(nodes=frozenset([A]), known=frozenset([A]), limits=Limits(), mask=Mask(()), caps=Caps())
    return Dialogue(sandbox, job, Ear())


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


async def test_a_sandbox_whose_network_is_gone_is_unavailable_and_leaves_no_door_open(
    dialogue: Dialogue, sandbox: Sandbox
) -> None:
    policy = Policy(("a.org:5432", "b.org:6379"))
    way_out = WayOut(
        step=StepId("a"), gate=Gate(), policy=policy, doors=doors_of(policy), caps=relay.Caps(), record=lambda _: None
    )

    with pytest.raises(SandboxUnavailableError):
        await dialogue.grant(way_out)

    assert [door.fileno() for door in sandbox.doors] == [-1, -1]

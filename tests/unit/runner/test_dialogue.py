from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from flowray.engine.events import Token
from flowray.errors import SandboxUnavailableError
from flowray.flow.types import NodeId
from flowray.plan.types import StepId
from flowray.runner.dialogue import Dialogue, WayOut
from flowray.runner.frames import SPEC, Caps, frame
from flowray.runner.inquiry import Ear
from flowray.runner.masking import Mask
from flowray.runner.verdict import Failure, Job, judge
from flowray.sandbox import relay
from flowray.sandbox.doors import doors_of
from flowray.sandbox.egress import Gate
from flowray.sandbox.limits import Limits
from flowray.sandbox.policy import Policy
from tests.unit.runner.kit import FakeSandbox, Peer

A = NodeId("a")
LONGER_THAN_EVENTS_PILE_UP_S = 0.1


def job_with(*, step_s: float = 60, node_s: float = 60) -> Job:
    return Job(
        nodes=frozenset([A]),
        known=frozenset([A]),
        limits=replace(Limits(), wall_s=step_s),
        mask=Mask(()),
        caps=Caps(),
        walls={A: node_s},
    )


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
    return Dialogue(sandbox, job_with(), Ear())


async def begins_and_says_much(peer: Peer) -> None:
    """More than is read while nobody asks for events."""
    await peer.spec()
    await peer.event("node_started")
    for _ in range(8):
        await peer.event("message", message={"text": "x" * 240_000})


async def is_done(peer: Peer) -> None:
    await begins_and_says_much(peer)
    await peer.event("node_finished", outputs={})
    await peer.result(took_s=0.01)


async def says_much_and_hangs(peer: Peer) -> None:
    await begins_and_says_much(peer)
    await peer.forever()


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


@pytest.mark.parametrize("limit", ["step_s", "node_s"])
async def test_what_is_done_in_time_keeps_its_limit_however_late_that_is_read(limit: str) -> None:
    limit_s = 0.1
    sandbox = FakeSandbox(is_done)
    job = job_with(**{limit: limit_s})
    dialogue = Dialogue(sandbox, job, Ear())
    dialogue.open([frame(SPEC, b"{}")])

    while not dialogue.over:
        await dialogue.events()
        await asyncio.sleep(2 * limit_s)

    assert judge(job, await dialogue.ending(lost=asyncio.Event())) == {"took_s": 0.01}
    sandbox.close()


@pytest.mark.parametrize("limit", ["step_s", "node_s"])
async def test_what_hangs_is_stopped_though_it_has_said_much(limit: str) -> None:
    sandbox = FakeSandbox(says_much_and_hangs)
    job = job_with(**{limit: 0.05})
    dialogue = Dialogue(sandbox, job, Ear())
    dialogue.open([frame(SPEC, b"{}")])

    while not dialogue.over:
        await dialogue.events()

    failure = judge(job, await dialogue.ending(lost=asyncio.Event()))
    assert isinstance(failure, Failure)
    assert failure.kind == "timeout"
    sandbox.close()


async def test_a_limit_does_not_wait_for_ever_for_what_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowray.runner.walls._PATIENCE_S", 0.1)
    sandbox = FakeSandbox(says_much_and_hangs)
    dialogue = Dialogue(sandbox, job_with(node_s=0.05), Ear())
    dialogue.open([frame(SPEC, b"{}")])

    end = await sandbox.wait()

    assert (end.signal, dialogue.over) == (signal.SIGKILL, True)
    sandbox.close()

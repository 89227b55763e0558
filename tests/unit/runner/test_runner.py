from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, NoReturn, cast

import pytest

from flowray.engine.commands import StartStep
from flowray.engine.events import (
    Log,
    NodeFinished,
    NodeStarted,
    StepEvent,
    StepFinished,
    StepStarted,
    Token,
)
from flowray.engine.failures import ComponentFailedError
from flowray.engine.values import Value
from flowray.errors import SandboxUnavailableError
from flowray.plan.types import StepId
from flowray.runner import frames
from flowray.runner.frames import frame
from flowray.runner.runner import Runner
from flowray.sandbox.child import Exit
from flowray.sandbox.image import Image
from flowray.sandbox.zygote import Zygote
from tests.unit.runner.conftest import Started
from tests.unit.runner.kit import FakeNursery, FakeObjects, FakeSandbox, Peer, died_of
from tests.unit.runner.steps import STEP, A, events_of, one_node, request_of


async def test_a_step_tells_its_start_its_nodes_and_its_end_in_one_batch_when_it_is_short(runner_with: Started) -> None:
    runner = await runner_with(one_node, name="r-1")
    batches = [batch async for batch in runner.run(request_of(), StartStep(step=STEP, attempt=2))]
    assert len(batches) == 1
    started, node, finished, ended = batches[0]
    assert isinstance(started, StepStarted)
    assert (started.step, started.attempt, started.runner) == (STEP, 2, "r-1")
    assert node == NodeStarted(node=A)
    assert finished == NodeFinished(node=A, outputs={"out": Value(type="text", json="hello")}, result={"r": 1})
    assert isinstance(ended, StepFinished)
    assert ended.usage == {"cpu_s": 0.25, "memory_mib": 12.5}


async def test_of_a_sandbox_that_is_gone_already_the_kernel_says_what_it_used(
    runner_with: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeSandbox, "clock_s", 0.0)
    runner = await runner_with(one_node)
    (*_, ended) = [event async for batch in runner.run(request_of(), StartStep(step=STEP)) for event in batch]
    assert isinstance(ended, StepFinished)
    assert ended.usage["cpu_s"] == 0.01


async def test_what_a_long_step_says_does_not_wait_for_its_end(runner_with: Started) -> None:
    heard = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.event("token", text="first")
        await heard.wait()
        await peer.result()

    seen: list[Sequence[StepEvent]] = []
    async for batch in (await runner_with(script)).run(request_of(), StartStep(step=STEP)):
        seen.append(batch)
        heard.set()
    assert Token(node=A, text="first") in seen[0]
    assert isinstance(seen[-1][-1], StepFinished)


async def test_a_silent_step_is_told_as_started_all_the_same(runner_with: Started) -> None:
    told = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.spec()
        await told.wait()
        await peer.result()

    async for batch in (await runner_with(script)).run(request_of(), StartStep(step=STEP)):
        told.set()
        assert isinstance(batch[0], StepStarted | StepFinished)


async def test_the_spec_holds_the_step_and_what_it_reads(runner_with: Started) -> None:
    specs: list[dict[str, Any]] = []

    async def script(peer: Peer) -> None:
        specs.append(await peer.spec())
        await peer.result()

    runner = await runner_with(script, limits={"memory_mib": 256})
    start = StartStep(
        step=StepId("b"), upstream={A: {"out": Value(type="text", json="x"), "other": Value(type="none")}}
    )
    await events_of(runner, request_of(input_value="hi", variables={"KEY": "sk-1"}), start)
    spec = specs[0]
    assert (spec["job"], spec["build"], spec["skip"]) == ("run", ["b"], [])
    assert [node["id"] for node in spec["nodes"]] == ["a", "b"]
    assert spec["upstream"] == {"a": {"out": {"type": "text", "json": "x"}}}
    assert spec["inputs"] == {"input_value": "hi", "input_type": "chat"}
    assert spec["variables"] == {"KEY": "sk-1"}
    assert spec["run"]["session_id"] == "s1"
    assert spec["limits"]["memory_mib"] == 256


async def test_large_values_come_from_the_store_and_go_there(runner_with: Started) -> None:
    objects = FakeObjects()
    ref = await objects.put("values/one", b"x" * 9_000_000)
    blobs: list[bytes] = []

    async def script(peer: Peer) -> None:
        spec = await peer.spec()
        assert spec["upstream"] == {"a": {"out": {"type": "text", "blob": 0}}}
        assert spec["files"] == {"report.txt": 0}
        blobs.extend(peer.blobs)
        await peer.send(frame(frames.PART, b"big") + frame(frames.BLOB, b"ger"))
        await peer.event("node_finished", "b", outputs={"out": {"type": "bytes", "blob": 0}})
        await peer.result()

    runner = await runner_with(script, objects=objects)
    start = StartStep(step=StepId("b"), upstream={A: {"out": Value(type="text", ref=ref)}})
    events = await events_of(runner, request_of(files={"report.txt": ref}), start)
    assert blobs == [b"x" * 9_000_000]
    finished = cast("NodeFinished", events[1])
    kept = finished.outputs["out"].ref
    assert kept is not None
    assert kept.key.startswith("tenants/acme/values/r1/")
    assert objects.stored[kept.key] == b"bigger"


async def test_a_consumer_that_does_not_keep_up_makes_the_sandbox_wait(runner_with: Started) -> None:
    sent = 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.spec()
        for _ in range(100):
            await peer.event("token", text="x" * 50_000)
            sent += 1
        await peer.result()

    runner = await runner_with(script)
    batches = runner.run(request_of(), StartStep(step=STEP))
    first = [await anext(batches)]
    for _ in range(2000):
        await asyncio.sleep(0)
    assert sent < 60
    rest = [batch async for batch in batches]
    assert sum(len(batch) for batch in first + rest) == 102


async def test_asking_for_what_is_not_given_is_answered(runner_with: Started) -> None:
    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.send(frame(frames.ASK, b'{"ask":1,"what":"messages"}'))
        kind, reply = await peer.frame()
        await peer.event("log", text=f"{kind} {reply.decode()}")
        await peer.result()

    log = cast("Log", (await events_of(await runner_with(script)))[1])
    assert log.text == '4 {"ask":1,"ok":false,"error":"`messages` cannot be asked for here.","code":"not_answered"}'


async def test_closing_the_stream_cancels_the_step_and_frees_its_place(runner_with: Started) -> None:
    cancelled = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.event("node_started")
        assert await peer.frame() == (frames.CANCEL, b"")
        cancelled.set()
        await peer.error(kind="cancelled", error="stopped")

    runner = await runner_with(script)
    async with aclosing(runner.run(request_of(), StartStep(step=STEP))) as batches:
        async for _ in batches:
            break
    await cancelled.wait()
    await runner.close()
    assert (runner.stats().at_work, runner.stats().served) == (0, 1)


async def test_a_spare_that_died_unused_costs_nothing(runner_with: Started) -> None:
    async def dies(_: Peer) -> Exit:
        return died_of(signal.SIGKILL)

    nursery = FakeNursery(dies)
    runner = await runner_with(dies, nursery=nursery)
    nursery.script = one_node
    await nursery.spawned[0].wait()
    assert isinstance((await events_of(runner))[-1], StepFinished)


async def test_a_spare_whose_network_is_gone_as_it_is_given_costs_nothing(
    runner_with: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    nursery = FakeNursery(one_node)
    runner = await runner_with(one_node, nursery=nursery)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(FakeSandbox, "listener", listener)
        nursery.spawned[0].listener = closed = listener.dup()
        closed.close()

        assert isinstance((await events_of(runner, request_of(egress=("*.a.org",))))[-1], StepFinished)


async def test_a_component_is_extracted_in_a_sandbox(runner_with: Started) -> None:
    async def script(peer: Peer) -> None:
        spec = await peer.spec()
        assert (spec["job"], spec["code"], spec["limits"]["wall_s"]) == ("extract", "x = 1", 10)
        await peer.event("log", "", text="printed while loading")
        await peer.result(frontend={"name": spec["name"]}, imports=[])

    runner = await runner_with(script)
    assert await runner.extract("x = 1", "Thing") == {"frontend": {"name": "Thing"}, "imports": []}


async def test_a_component_that_cannot_be_loaded_raises_its_own_error(runner_with: Started) -> None:
    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.error(kind="component", error="No module named 'nope'", error_type="ModuleNotFoundError")

    runner = await runner_with(script)
    with pytest.raises(ComponentFailedError, match="nope") as raised:
        await runner.extract("import nope", "Thing")
    assert raised.value.facts["error_type"] == "ModuleNotFoundError"


async def test_what_a_zygote_is_to_be_is_read_once_and_not_when_the_next_one_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refused(*_: object, **__: object) -> NoReturn:
        raise SandboxUnavailableError("no room")

    def unreadable() -> NoReturn:
        raise OSError("too many open files")

    runner = Runner.on(cast("Image", None), objects=FakeObjects())
    monkeypatch.setattr("flowray.runner.runner.default_packages", unreadable)
    monkeypatch.setattr(Zygote, "start", refused)

    with pytest.raises(SandboxUnavailableError, match="no room"):
        await runner.start()

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

import pytest

from flowray.engine.commands import StartStep
from flowray.engine.events import (
    Log,
    NodeFailed,
    NodeFinished,
    NodeStarted,
    RunId,
    StepEvent,
    StepFailed,
    StepFinished,
    StepStarted,
    Token,
)
from flowray.engine.failures import ComponentFailedError
from flowray.engine.ports import RunRequest
from flowray.engine.values import Value
from flowray.flow.types import NodeId
from flowray.plan.types import StepId
from flowray.runner import frames
from flowray.runner.frames import Caps, frame
from flowray.runner.pool import PoolSize
from flowray.runner.runner import Rules, Runner
from flowray.sandbox.child import Exit
from flowray.sandbox.limits import Limits
from tests.unit.build import dag_of, plan_of
from tests.unit.runner.conftest import Started
from tests.unit.runner.kit import FakeNursery, FakeObjects, FakeSandbox, Peer, died_of, exited

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


async def test_a_component_that_fails_is_blamed_with_its_own_words_and_without_secrets(runner_with: Started) -> None:
    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.event("node_failed", error="no key sk-12345")
        await peer.error(kind="component", error="no key sk-12345", error_type="ValueError", node="a", traceback="tb")

    events = await events_of(await runner_with(script), request_of(variables={"KEY": "sk-12345"}))
    assert events[1] == NodeFailed(node=A, error="no key *****")
    ended = events[2]
    assert isinstance(ended, StepFailed)
    assert replace(ended, took_s=0.0, usage={}) == StepFailed(
        step=STEP, kind="component", error="no key *****", node=A, error_type="ValueError", traceback="tb", attempt=1
    )


async def test_a_sandbox_cannot_blame_a_node_of_another_step(runner_with: Started) -> None:
    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.error(kind="lost", error="it was b", node="b")

    failed = await last_of(await runner_with(script))
    assert (failed.kind, failed.node) == ("component", None)


@pytest.mark.parametrize(
    ("end", "kind", "says"),
    [
        (exited(7), "crashed", "exit code 7"),
        (exited(0), "crashed", "exit code 0"),
        (died_of(signal.SIGSEGV), "crashed", "signal 11 (SIGSEGV)"),
        (died_of(signal.SIGKILL), "memory", "512 MiB"),
        (died_of(signal.SIGKILL, cpu_s=301), "timeout", "processor time"),
    ],
)
async def test_a_sandbox_that_dies_says_how(runner_with: Started, end: Exit, kind: str, says: str) -> None:
    async def script(peer: Peer) -> Exit:
        await peer.spec()
        return end

    failed = await last_of(await runner_with(script))
    assert (failed.kind, failed.retryable) == (kind, False)
    assert says in failed.error


async def test_a_sandbox_that_closes_its_channel_and_lives_on_has_crashed(runner_with: Started) -> None:
    async def script(peer: Peer) -> None:
        await peer.spec()
        peer.hang_up()
        await peer.forever()

    failed = await last_of(await runner_with(script, caps=Caps(linger_s=0.05)))
    assert (failed.kind, failed.error) == ("crashed", "The sandbox closed its channel and did not end.")


@pytest.mark.parametrize(
    ("garbage", "says"),
    [
        (b"\xff\xff\xff\xf0\x11", "4,294,967,280"),
        (frame(99), "unknown type 99"),
        (frame(frames.RESULT, b"{}") + b"x", "after its result"),
        (frame(frames.RESULT, b"[]"), "no object"),
        (frame(frames.EVENT, b"\x80\x04."), "bad JSON"),
        (frame(frames.EVENT, b'{"kind":"node_started","node":"b"}'), "not of its step"),
    ],
)
async def test_a_sandbox_that_breaks_the_rules_is_killed_and_says_which(
    runner_with: Started, garbage: bytes, says: str
) -> None:
    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.send(garbage)
        if frame(frames.RESULT, b"[]") != garbage:
            await peer.forever()

    failed = await last_of(await runner_with(script))
    assert failed.kind == "protocol"
    assert says in failed.error


async def test_a_flood_of_events_ends_the_step(runner_with: Started) -> None:
    async def script(peer: Peer) -> None:
        await peer.spec()
        for _ in range(200):
            await peer.event("token", text="x" * 100)

    failed = await last_of(await runner_with(script, caps=Caps(events=100)))
    assert (failed.kind, "100 events" in failed.error) == ("protocol", True)


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


@pytest.mark.parametrize("kind", [frames.HEARTBEAT, frames.ASK])
async def test_a_sandbox_that_never_ends_is_stopped_by_its_wall_limit(runner_with: Started, kind: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.send(frame(kind, b"{}"))
        await peer.forever()

    failed = await last_of(await runner_with(script, limits={"wall_s": 0.05}))
    assert (failed.kind, "0.05 s" in failed.error) == ("timeout", True)


async def test_a_sandbox_that_ends_slowly_after_its_result_has_finished(runner_with: Started) -> None:
    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.result()
        await peer.forever()

    assert isinstance((await events_of(await runner_with(script, caps=Caps(linger_s=0.05))))[-1], StepFinished)


async def test_asking_for_what_is_not_given_is_answered(runner_with: Started) -> None:
    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.send(frame(frames.ASK, b'{"ask":1,"what":"messages"}'))
        kind, reply = await peer.frame()
        await peer.event("log", text=f"{kind} {reply.decode()}")
        await peer.result()

    log = cast("Log", (await events_of(await runner_with(script)))[1])
    assert log.text == '4 {"ask":1,"ok":false,"error":"`messages` cannot be asked for here.","code":"not_answered"}'


async def test_a_sandbox_that_asks_and_does_not_read_the_answers_breaks_the_rules(runner_with: Started) -> None:
    async def script(peer: Peer) -> None:
        await peer.spec()
        for _ in range(50):
            await peer.send(frame(frames.ASK, b'{"ask":1,"what":"x"}') * 1_000)

    failed = await last_of(await runner_with(script))
    assert (failed.kind, "does not read the replies" in failed.error) == ("protocol", True)


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


async def test_a_zygote_that_dies_loses_its_running_steps_once(runner_with: Started) -> None:
    async def script(peer: Peer) -> None:
        await peer.spec()
        nursery.die()
        await peer.forever()

    nursery = FakeNursery(script)
    failed = await last_of(await runner_with(script, nursery=nursery))
    assert (failed.kind, failed.retryable) == ("lost", False)


async def test_a_step_that_finds_no_sandbox_may_be_tried_again(runner_with: Started) -> None:
    at_work = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.spec()
        at_work.set()
        await peer.forever()

    runner = await runner_with(script, size=PoolSize(spares=1, at_work=1, wait_s=0.02, drain_s=0))
    busy = asyncio.create_task(events_of(runner))
    await at_work.wait()
    failed = await last_of(runner)
    assert (failed.kind, failed.retryable) == ("unavailable", True)
    busy.cancel()


async def test_a_step_whose_value_is_gone_never_starts(runner_with: Started) -> None:
    ref = await FakeObjects().put("values/one", b"x")
    start = StartStep(step=StepId("b"), upstream={A: {"out": Value(type="text", ref=ref)}})
    (failed,) = await events_of(await runner_with(one_node), start=start)
    assert isinstance(failed, StepFailed)
    assert (failed.kind, failed.retryable, "values/one" in failed.error) == ("value", False, True)


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


@pytest.mark.parametrize("pool", [(), ("b.org",)])
async def test_a_run_reaches_no_host_that_its_pool_does_not_grant(runner_with: Started, pool: tuple[str, ...]) -> None:
    specs = []

    async def script(peer: Peer) -> None:
        specs.append(await peer.spec())
        await peer.result()

    await events_of(await runner_with(script, egress=pool), request_of(egress=("a.org",)))

    assert specs[0]["egress"] == []


@pytest.mark.parametrize("packages", [None, (), ("numpy", "pandas")])
async def test_a_sandbox_is_told_what_its_code_may_import(
    runner_with: Started, packages: tuple[str, ...] | None
) -> None:
    specs = []

    async def script(peer: Peer) -> None:
        specs.append(await peer.spec())
        await peer.result()

    await events_of(await runner_with(script), request_of(packages=packages))

    assert specs[0]["packages"] == (None if packages is None else list(packages))


@pytest.mark.parametrize(("short", "kind"), [(True, "memory"), (False, "crashed"), (None, "memory")])
async def test_whether_memory_ran_out_is_the_kernel_s_word_where_it_says_so(
    runner_with: Started, *, short: bool | None, kind: str
) -> None:
    async def script(peer: Peer) -> Exit:
        await peer.spec()
        return replace(died_of(signal.SIGKILL), short_of_memory=short)

    failed = await last_of(await runner_with(script))

    assert failed.kind == kind


async def test_a_sandbox_is_held_to_the_limits_of_its_job(runner_with: Started) -> None:
    nursery = FakeNursery(one_node)

    await events_of(await runner_with(one_node, nursery=nursery, limits={"memory_mib": 256}))

    assert nursery.spawned[0].held == Limits(memory_mib=256)


async def test_every_step_says_which_walls_are_lowered_around_it(runner_with: Started) -> None:
    runner = await runner_with(one_node, lowered=("landlock",), tenant="acme")

    started = (await events_of(runner))[0]

    assert isinstance(started, StepStarted)
    assert started.degraded == ("landlock",)


async def test_a_runner_of_one_tenant_takes_no_other_s_steps(runner_with: Started) -> None:
    runner = await runner_with(one_node, tenant="globex")

    assert [event.kind for event in await events_of(runner) if isinstance(event, StepFailed)] == ["unavailable"]


def test_walls_are_lowered_for_one_tenant_only() -> None:
    with pytest.raises(ValueError, match="one tenant"):
        Rules(lowered=("seccomp",))

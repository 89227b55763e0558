"""How a step ends that does not finish: who is blamed, and in which words."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace

import pytest

from flowray.engine.commands import StartStep
from flowray.engine.events import (
    NodeFailed,
    RunFinished,
    RunId,
    StepFailed,
    StepFinished,
)
from flowray.engine.failures import StepTimeoutError, failure
from flowray.engine.values import Value
from flowray.plan.types import StepId
from flowray.runner import frames
from flowray.runner.frames import Caps, frame
from flowray.runner.pool import PoolSize
from flowray.sandbox.child import Exit
from tests.unit.runner.conftest import Started
from tests.unit.runner.kit import FakeNursery, FakeObjects, Peer, died_of, exited
from tests.unit.runner.steps import STEP, A, events_of, last_of, one_node, request_of


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


async def test_a_variable_that_is_not_there_is_the_callers_matter(runner_with: Started) -> None:
    async def script(peer: Peer) -> None:
        await peer.spec()
        await peer.error(kind="variable", error="The field `x` names the variable `Y`.", node="a")

    failed = await last_of(await runner_with(script))
    problem = failure(RunId("r1"), RunFinished(status="failed", kind=failed.kind, node=failed.node, error=failed.error))
    assert (problem.code, problem.fault, problem.status) == ("missing_variable", "caller", 422)
    assert problem.message == "Node `a` failed: The field `x` names the variable `Y`."


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


async def test_a_job_of_no_run_that_takes_too_long_is_named(runner_with: Started) -> None:
    async def script(peer: Peer) -> Exit:
        await peer.spec()
        return died_of(signal.SIGKILL, cpu_s=11)

    runner = await runner_with(script)

    with pytest.raises(StepTimeoutError, match="The job `expand` took a sandbox longer than its 10 s"):
        await runner.examine("expand", {"spec": ""})


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


async def test_a_sandbox_that_asks_and_does_not_read_the_answers_breaks_the_rules(runner_with: Started) -> None:
    async def script(peer: Peer) -> None:
        await peer.spec()
        for _ in range(50):
            await peer.send(frame(frames.ASK, b'{"ask":1,"what":"x"}') * 1_000)

    failed = await last_of(await runner_with(script))
    assert (failed.kind, "does not read the replies" in failed.error) == ("protocol", True)


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


@pytest.mark.parametrize(("short", "kind"), [(True, "memory"), (False, "crashed"), (None, "memory")])
async def test_whether_memory_ran_out_is_the_kernel_s_word_where_it_says_so(
    runner_with: Started, *, short: bool | None, kind: str
) -> None:
    async def script(peer: Peer) -> Exit:
        await peer.spec()
        return replace(died_of(signal.SIGKILL), short_of_memory=short)

    failed = await last_of(await runner_with(script))

    assert failed.kind == kind


@pytest.mark.parametrize(("peak_mib", "is_said"), [(0.0, False), (200.0, False), (430.0, True)])
async def test_a_crash_with_much_of_its_memory_taken_says_how_much(
    runner_with: Started, *, peak_mib: float, is_said: bool
) -> None:
    async def script(peer: Peer) -> Exit:
        await peer.spec()
        return replace(died_of(signal.SIGSEGV), short_of_memory=False, peak_mib=peak_mib)

    failed = await last_of(await runner_with(script))

    assert failed.kind == "crashed"
    assert ("430 of its 512 MiB" in failed.error) == is_said

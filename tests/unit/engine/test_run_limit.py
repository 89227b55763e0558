"""Runs that outlast their limit."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import count

import pytest

from flowray.engine.events import (
    Event,
    NodeFinished,
    Recorded,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    RunTimedOut,
)
from flowray.engine.fake import FakeSteps
from flowray.errors import StoreUnavailableError
from flowray.flow.types import NodeId
from flowray.stores.memory_journal import MemoryJournal
from tests.unit.build import plan_of
from tests.unit.engine.happenings import gave, started
from tests.unit.engine.whole_runs import ACCEPTED, RUN, TENANT, all_of, end_of, engine, journaled, kinds, request

TIMED_OUT = RunFinished(status="failed", kind="timeout", error="The run took longer than its limit of 0.05 s.")


async def test_a_run_that_takes_too_long_fails() -> None:
    plan = replace(plan_of(a="", b="a"), run_wall_s=0.01)
    steps = FakeSteps(held=["a"])
    told = await engine(steps).execute(request(plan))
    assert (end_of(told).kind, end_of(told).error) == ("timeout", "The run took longer than its limit of 0.01 s.")
    assert steps.cancelled == ["a"]


async def test_a_run_that_takes_too_long_is_stopped_though_its_reader_stands_still() -> None:
    plan = replace(plan_of(a="", b=""), run_wall_s=0.05)
    many = [[gave("a", out=str(number))] for number in range(200)]
    steps, journal = FakeSteps({"a": [[started("a")], *many]}, held=["b"]), MemoryJournal()
    async with aclosing(engine(steps, journal).run(request(plan))) as told:
        await anext(told)
        async for one in journal.read(TENANT, RUN, follow=True):
            last = one.event
        assert (last, steps.cancelled) == (TIMED_OUT, ["a", "b"])
        assert (await all_of(told))[-1].event == TIMED_OUT


async def test_a_run_that_takes_too_long_is_stopped_though_its_journal_is_away_just_then() -> None:
    plan = replace(plan_of(a=""), run_wall_s=0.01)
    steps, journal = FakeSteps(held=["a"]), AwayWhenTimeIsUp()
    told = await asyncio.wait_for(engine(steps, journal, durability="strict").execute(request(plan)), 5)
    assert (end_of(told), steps.cancelled) == (replace(TIMED_OUT, error=end_of(told).error), ["a"])
    assert kinds(await journaled(journal))[-2:] == ["run_timed_out", "run_finished"]


async def test_what_was_being_written_when_the_time_ran_out_is_told_in_its_place() -> None:
    plan = replace(plan_of(a="", b="a"), run_wall_s=0.02)
    journal = SlowOnFinishedNodes()
    told = await all_of(engine(FakeSteps(), journal, durability="strict").run(request(plan)))
    assert told == await journaled(journal)
    assert "run_timed_out" in kinds(told)


BEGUN = (ACCEPTED, RunStarted(engine="engine-1"))
WAITED = (*BEGUN, RunPaused(request={}), RunResumed(node=NodeId("a"), request_id="r1"))


@pytest.mark.parametrize(
    ("past", "at", "status"),
    [
        ((ACCEPTED,), (0.0,), "succeeded"),
        (BEGUN, (0.0, 0.0), "failed"),
        ((*BEGUN, BEGUN[1]), (0.0, 0.0, 99.0), "failed"),
        (WAITED, (0.0, 0.0, 1.0, 2.0), "succeeded"),
        ((*WAITED, BEGUN[1]), (0.0, 0.0, 1.0, 2.0, 3.0), "failed"),
        ((*WAITED, BEGUN[1]), (0.0, 0.0, 1.0, 2.0, 99.0), "succeeded"),
    ],
)
async def test_a_run_s_time_passes_while_an_engine_has_it(
    past: Sequence[Event], at: Sequence[float], status: str
) -> None:
    journal, plan = MemoryJournal(), replace(plan_of(a=""), run_wall_s=60.0)
    before = [
        Recorded(seq=seq, at=when, run=RUN, event=one) for seq, when, one in zip(count(1), at, past, strict=False)
    ]
    await journal.append(TENANT, before)
    steps = FakeSteps(held=["a"])
    running = asyncio.create_task(all_of(engine(steps, journal, now=100.0).resume(request(plan), before)))
    await steps.running("a")
    await asyncio.wait({running}, timeout=0.02)  # what is over its limit ends now
    steps.release("a")
    assert end_of(await running).status == status


class SlowOnFinishedNodes(MemoryJournal):
    """A journal whose store takes long over what nodes gave."""

    async def append(self, tenant: str, events: Sequence[Recorded], *, lease: int = 0) -> None:
        if any(isinstance(one.event, NodeFinished) for one in events):
            await asyncio.sleep(0.1)
        await super().append(tenant, events, lease=lease)


class AwayWhenTimeIsUp(MemoryJournal):
    """A journal whose store is away when it first hears that a run has taken too long."""

    is_back = False

    async def append(self, tenant: str, events: Sequence[Recorded], *, lease: int = 0) -> None:
        if isinstance(events[-1].event, RunTimedOut) and not self.is_back:
            self.is_back = True
            raise StoreUnavailableError("no answer")
        await super().append(tenant, events, lease=lease)

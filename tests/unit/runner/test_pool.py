from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from flowray.errors import RunnerUnavailableError, SandboxUnavailableError
from flowray.runner.brood import Brood, Taken, hatch
from flowray.runner.pacing import Pace
from flowray.runner.pool import Pool, PoolSize
from tests.kit.clock import Clock
from tests.unit.runner.kit import FakeNursery, FakeSandbox, Peer


@dataclass
class House:
    """A pool over fake nurseries."""

    pool: Pool
    nurseries: list[FakeNursery] = field(default_factory=list)

    async def settle(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)


class Creeping(Clock):
    """Goes on with every look at it, once it creeps: time passes between any two lines of code."""

    LOOK_S = 0.001
    creeps = False

    def __call__(self) -> float:
        self.now += self.LOOK_S if self.creeps else 0.0
        return self.now


async def kept_apart(house: Any, clock: Clock) -> tuple[House, Pace, Taken]:
    """A pool in which steps of a flood begin apart, since they take long, and the first of them."""
    pace = Pace(1, cores=2, clock=clock)
    built: House = await house(spares=8, at_work=8, wait_s=5, pace=pace)
    long = await built.pool.take(weight=3)
    clock.now += 100.0
    built.pool.done(long)
    return built, pace, await built.pool.take(weight=3)


async def parked(peer: Peer) -> None:
    await peer.forever()


@pytest.fixture
async def house() -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:

        async def build(pace: Pace | None = None, **size: Any) -> House:
            async def born() -> FakeNursery:
                built.nurseries.append(FakeNursery(parked))
                return built.nurseries[-1]

            sizes = PoolSize(**{"spares": 2, "wait_s": 0.05, "drain_s": 0.05, **size})
            built = House(pool=Pool(born, sizes, pace))
            await built.pool.start()
            stack.push_async_callback(built.pool.close)
            await built.settle()
            return built

        yield build


async def test_spares_are_parked_before_anybody_asks(house: Any) -> None:
    built = await house(spares=3)
    assert built.pool.parked == 3


async def test_a_sandbox_is_given_once(house: Any) -> None:
    built = await house()
    one, two = await built.pool.take(), await built.pool.take()
    assert one.sandbox is not two.sandbox
    built.pool.done(one)
    assert not one.sandbox.sock.fileno() > 0


async def test_while_jobs_run_fewer_spares_will_do_and_then_all_are_refilled(house: Any) -> None:
    built = await house(spares=8)
    taken = await built.pool.take()
    await built.settle()
    assert built.pool.parked == 7
    more = [await built.pool.take() for _ in range(3)]
    await built.settle()
    assert built.pool.parked == 6
    for one in (taken, *more):
        built.pool.done(one)
    await built.settle()
    assert built.pool.parked == 8


async def test_more_than_the_spares_are_served_as_they_come(house: Any) -> None:
    built = await house(spares=1, at_work=5)
    taken = await asyncio.gather(*(built.pool.take() for _ in range(5)))
    assert len({id(one.sandbox) for one in taken}) == 5


async def test_who_comes_when_too_many_are_at_work_waits_and_is_told_why(house: Any) -> None:
    built = await house(at_work=1)
    first = await built.pool.take()
    with pytest.raises(RunnerUnavailableError, match="1 are at work"):
        await built.pool.take()
    waiting = asyncio.create_task(built.pool.take())
    await built.settle()
    assert built.pool.queued == 1
    built.pool.done(first)
    assert (await waiting).sandbox.alive


async def test_a_lent_turn_waits_behind_nobody_and_makes_no_room_for_others(house: Any) -> None:
    built = await house(at_work=1, spares=1, wait_s=5)
    first = await built.pool.take()
    waiting = asyncio.create_task(built.pool.take())
    await built.settle()

    lent = [await built.pool.take(lent=True) for _ in range(2)]

    assert (built.pool.at_work, waiting.done()) == (3, False)
    built.pool.done(lent[0])
    await built.settle()
    assert not waiting.done()
    built.pool.done(first)
    built.pool.done(await waiting)
    built.pool.done(lent[1])
    assert built.pool.at_work == 0


async def test_a_flood_leaves_spares_for_whoever_has_few_steps(house: Any) -> None:
    built = await house(spares=4, wait_s=5)
    built.nurseries[0].awake.clear()
    flood = [asyncio.create_task(built.pool.take(weight=3)) for _ in range(5)]
    await built.settle()
    assert (sum(one.done() for one in flood), built.pool.parked) == (3, 1)

    other = await asyncio.wait_for(built.pool.take(weight=100), 1)

    built.nurseries[0].awake.set()
    for one in (other, *await asyncio.gather(*flood)):
        built.pool.done(one)
    await built.settle()
    assert (built.pool.at_work, built.pool.parked) == (0, 4)


async def test_the_steps_of_a_flood_begin_one_after_the_other_and_those_of_others_at_once(house: Any) -> None:
    clock = Clock()
    built, _, first = await kept_apart(house, clock)

    second = asyncio.create_task(built.pool.take(weight=3))
    other = await asyncio.wait_for(built.pool.take(weight=100), 1)
    lent = await asyncio.wait_for(built.pool.take(lent=True, weight=3), 1)
    await built.settle()

    assert not second.done()
    clock.now += 0.02
    for one in (first, other, lent, await asyncio.wait_for(second, 1)):
        built.pool.done(one)
    assert built.pool.at_work == 0


@pytest.mark.parametrize("looks", range(1, 9))
async def test_a_step_that_is_kept_apart_is_not_forgotten_whenever_its_time_comes(looks: int, house: Any) -> None:
    clock = Creeping()
    built, pace, first = await kept_apart(house, clock)
    clock.now += pace.due_s - (looks - 0.5) * Creeping.LOOK_S
    clock.creeps = True

    second = await asyncio.wait_for(built.pool.take(weight=3), 1)

    for one in (first, second):
        built.pool.done(one)


async def test_those_who_wait_are_served_in_order(house: Any) -> None:
    built = await house(at_work=1, wait_s=5)
    order: list[int] = []

    async def job(number: int) -> None:
        taken = await built.pool.take()
        order.append(number)
        built.pool.done(taken)

    first = await built.pool.take()
    jobs = [asyncio.create_task(job(number)) for number in range(4)]
    await built.settle()
    built.pool.done(first)
    await asyncio.gather(*jobs)
    assert order == [0, 1, 2, 3]


async def test_who_gives_up_waiting_takes_nothing_with_him(house: Any) -> None:
    built = await house(at_work=1, wait_s=5)
    first = await built.pool.take()
    waiting = asyncio.create_task(built.pool.take())
    await built.settle()
    built.pool.done(first)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert built.pool.at_work == 0
    assert (await built.pool.take()).sandbox.alive


async def test_old_spares_are_replaced(house: Any) -> None:
    built = await house(spares=2, oldest_s=600)
    before = list(built.nurseries[0].spawned)
    for sandbox in before:
        sandbox.born -= 601
    taken = await built.pool.take()
    built.pool.done(taken)
    await built.settle()
    assert all(not sandbox.alive for sandbox in before)
    assert built.pool.parked == 2


async def test_a_zygote_that_dies_is_started_again_with_new_spares(house: Any) -> None:
    built = await house()
    built.nurseries[0].die()
    taken = await built.pool.take()
    assert taken.sandbox in built.nurseries[1].spawned
    assert not taken.lost.is_set()


async def test_a_first_zygote_that_cannot_fork_stops_the_start() -> None:
    nursery = FakeNursery(parked)
    nursery.refuses = True

    async def born() -> FakeNursery:
        return nursery

    with pytest.raises(SandboxUnavailableError):
        await Pool(born, PoolSize()).start()
    assert nursery.closed.is_set()


async def test_a_closing_pool_takes_no_jobs_and_lets_running_ones_end(house: Any) -> None:
    built = await house(drain_s=5)
    taken = await built.pool.take()
    closing = asyncio.create_task(built.pool.close())
    await built.settle()
    with pytest.raises(RunnerUnavailableError, match="shutting down"):
        await built.pool.take()
    assert taken.sandbox.alive
    built.pool.done(taken)
    await closing
    assert not any(sandbox.alive for sandbox in built.nurseries[0].spawned)


async def test_who_is_cancelled_while_sandboxes_are_forked_leaves_none_open() -> None:
    nursery = FakeNursery(parked)
    spawning = asyncio.create_task(Brood(nursery).spawn_some(2))
    while len(nursery.spawned) < 2:  # noqa: ASYNC110 - the nursery tells nobody
        await asyncio.sleep(0)

    spawning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await spawning

    assert [sandbox.sock.fileno() for sandbox in nursery.spawned] == [-1, -1]
    await nursery.stop()


async def test_a_zygote_that_hangs_while_its_first_spares_are_forked_leaves_none_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flowray.runner.brood.SPAWN_S", 0.01)
    nursery = FakeNursery(parked)
    born = nursery.spawn

    async def one_and_no_more() -> FakeSandbox:
        if nursery.spawned:
            await asyncio.Event().wait()
        return await born()

    async def start() -> FakeNursery:
        nursery.spawn = one_and_no_more  # type: ignore[method-assign]
        return nursery

    with pytest.raises(TimeoutError):
        await hatch(start, spares=3)

    assert [sandbox.sock.fileno() for sandbox in nursery.spawned] == [-1]

"""A worn zygote is followed by another one; nobody who takes a sandbox notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from flowray.errors import SandboxUnavailableError
from flowray.runner.pool import Pool, PoolSize
from tests.unit.runner.kit import FakeNursery, Peer


@dataclass
class House:
    """A pool over fake nurseries; `gate` closed holds the next one back, `refuses` is how it fails."""

    pool: Pool
    nurseries: list[FakeNursery] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    refuses: Exception | None = None

    async def until(self, condition: Any) -> None:
        for _ in range(1000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("it did not come to that")

    def alive(self) -> list[bool]:
        return [not nursery.closed.is_set() for nursery in self.nurseries]


async def parked(peer: Peer) -> None:
    await peer.forever()


@pytest.fixture
async def house() -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:

        async def build(**size: Any) -> House:
            async def born() -> FakeNursery:
                if built.nurseries:
                    await built.gate.wait()
                    if built.refuses is not None:
                        raise built.refuses
                built.nurseries.append(FakeNursery(parked))
                return built.nurseries[-1]

            sizes = PoolSize(**{"spares": 1, "wait_s": 5, "drain_s": 0.05, **size})
            built = House(pool=Pool(born, sizes))
            await built.pool.start()
            stack.push_async_callback(built.pool.close)
            return built

        yield build


async def test_after_so_many_forks_another_zygote_takes_over(house: Any) -> None:
    built = await house(forks=2)
    built.gate.set()

    built.pool.done(await built.pool.take())

    await built.until(lambda: built.alive() == [False, True])
    assert built.pool.parked == 1


async def test_an_old_zygote_is_replaced_without_a_job(house: Any) -> None:
    built = await house(zygote_s=0.0)
    built.gate.set()

    await built.until(lambda: built.pool.zygotes > 1)


async def test_until_the_next_is_warm_the_old_one_serves(house: Any) -> None:
    built = await house(forks=2)

    taken = [await built.pool.take() for _ in range(5)]

    assert {one.brood.nursery for one in taken} == {built.nurseries[0]}
    for one in taken:
        built.pool.done(one)


async def test_a_job_of_the_old_zygote_runs_to_its_end(house: Any) -> None:
    built = await house(forks=2)
    taken = await built.pool.take()
    built.gate.set()
    await built.until(lambda: built.pool.zygotes > 1)

    assert (built.alive()[0], taken.lost.is_set(), taken.sandbox.alive) == (True, False, True)

    built.pool.done(taken)
    await built.until(lambda: not built.alive()[0])


async def test_new_jobs_go_to_the_next_zygote(house: Any) -> None:
    built = await house(forks=2)
    old = await built.pool.take()
    built.gate.set()
    await built.until(lambda: built.pool.zygotes > 1)

    new = await built.pool.take()

    assert new.brood.nursery is built.nurseries[1]
    built.pool.done(old)
    built.pool.done(new)


async def test_jobs_of_a_replaced_zygote_that_dies_are_lost_and_no_others(house: Any) -> None:
    built = await house(forks=2)
    old = await built.pool.take()
    built.gate.set()
    await built.until(lambda: built.pool.zygotes > 1)
    new = await built.pool.take()

    built.nurseries[0].die()

    assert (old.lost.is_set(), new.lost.is_set()) == (True, False)
    built.pool.done(old)
    built.pool.done(new)


@pytest.mark.parametrize(
    "why", [SandboxUnavailableError("no memory for another one"), RuntimeError("can't start new thread")]
)
async def test_when_the_next_zygote_does_not_start_the_old_one_serves_on(why: Exception, house: Any) -> None:
    built = await house(forks=2)
    built.refuses = why
    built.gate.set()
    await asyncio.sleep(0)

    taken = [await built.pool.take() for _ in range(5)]

    assert built.alive() == [True]
    for one in taken:
        built.pool.done(one)


async def test_closing_leaves_neither_the_old_nor_the_next_one(house: Any) -> None:
    built = await house(forks=2)
    await built.pool.take()
    built.gate.set()
    await built.until(lambda: built.pool.zygotes > 1)

    await built.pool.close()

    assert not any(built.alive())

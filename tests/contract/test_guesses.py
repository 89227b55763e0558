"""Who guesses keys waits: by one process's count, and by that of all replicas."""

from __future__ import annotations

import pytest
import redis.asyncio

from flowray.errors import StoreUnavailableError
from flowray.quotas.guesses import Guesses, MemoryGuesses, SteadyGuesses
from flowray.stores.redis_guesses import RedisGuesses
from tests.kit.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


@pytest.fixture(params=["memory", "redis"])
def guesses(request: pytest.FixtureRequest, clock: Clock) -> Guesses:
    if request.param == "memory":
        return MemoryGuesses(clock=clock)
    return RedisGuesses(request.getfixturevalue("valkey"), clock=clock)


async def failing(guesses: Guesses, source: str, times: int) -> list[float]:
    return [await guesses.failed(source, f"{source} {guess}") for guess in range(times)]


async def test_some_failures_are_free_and_then_each_wait_is_twice_as_long_up_to_a_limit(guesses: Guesses) -> None:
    waits = await failing(guesses, "192.0.2.1", 25)
    assert waits[:14] == [0.0] * 10 + [1.0, 2.0, 4.0, 8.0]
    assert max(waits) == waits[-1] == 300.0
    assert await guesses.wait_s("192.0.2.2") == 0.0


async def test_the_same_attempt_again_is_no_new_guess(guesses: Guesses) -> None:
    assert {await guesses.failed("192.0.2.1", "misspelt") for _ in range(20)} == {0.0}


async def test_a_wait_ends(guesses: Guesses, clock: Clock) -> None:
    await failing(guesses, "192.0.2.1", 11)
    assert await guesses.wait_s("192.0.2.1") == pytest.approx(1.0)
    clock.now += 1.0
    assert await guesses.wait_s("192.0.2.1") == 0.0


async def test_who_has_a_whole_network_of_addresses_is_one_source(guesses: Guesses) -> None:
    for number in range(11):
        await guesses.failed(f"2001:db8::{number:x}", str(number))
    assert await guesses.wait_s("2001:db8::ffff") > 0
    assert await guesses.wait_s("2001:db8:0:1::1") == 0.0


async def test_failures_are_forgotten_after_a_while(clock: Clock, valkey: redis.asyncio.Redis) -> None:
    memory = MemoryGuesses(clock=clock)
    await failing(memory, "192.0.2.1", 11)
    clock.now += 1_000.0
    assert await memory.failed("192.0.2.1", "another") == 0.0
    await RedisGuesses(valkey).failed("192.0.2.1", "one")
    assert 890 < await valkey.ttl("flowray:guesses:192.0.2.1") <= 900


async def test_only_so_many_sources_are_kept_in_a_process(clock: Clock) -> None:
    guesses = MemoryGuesses(capacity=1, clock=clock)
    for source in ("a", "b"):
        await failing(guesses, source, 11)
    assert [await guesses.wait_s(source) for source in ("a", "b")] == [0.0, 1.0]


async def test_replicas_count_together_and_each_alone_while_the_others_are_away(
    clock: Clock, valkey: redis.asyncio.Redis
) -> None:
    shared = Away(RedisGuesses(valkey, clock=clock))
    here, there = (SteadyGuesses(shared, MemoryGuesses(clock=clock), clock=clock) for _ in range(2))
    for guess in range(6):
        await here.failed("192.0.2.1", f"here {guess}")
        await there.failed("192.0.2.1", f"there {guess}")
    assert await here.wait_s("192.0.2.1") == pytest.approx(2.0)

    shared.is_away = True
    waits = [await here.failed("192.0.2.1", f"more {guess}") for guess in range(5)]
    assert waits == [0.0] * 4 + [1.0]
    assert await here.wait_s("192.0.2.1") == 1.0


class Away:
    """Guesses in a Redis that may go away."""

    def __init__(self, guesses: Guesses) -> None:
        self._guesses = guesses
        self.is_away = False

    async def wait_s(self, source: str) -> float:
        self._require()
        return await self._guesses.wait_s(source)

    async def failed(self, source: str, attempt: str) -> float:
        self._require()
        return await self._guesses.failed(source, attempt)

    def _require(self) -> None:
        if self.is_away:
            raise StoreUnavailableError("Redis is away.")

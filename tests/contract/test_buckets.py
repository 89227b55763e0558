"""A rate holds over all who ask, wherever the buckets are kept; and while they are away, each has its part of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from flowray.errors import InvalidRequestError, StoreUnavailableError
from flowray.quotas.buckets import Buckets, MemoryBuckets, SteadyBuckets
from flowray.quotas.rate import Rate, Taken, rate_of
from flowray.stores.redis_buckets import RedisBuckets
from tests.kit.clock import Clock

TEN = rate_of("10/s")


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


@pytest.fixture(params=["memory", "redis"])
def buckets(request: pytest.FixtureRequest, clock: Clock) -> Buckets:
    if request.param == "memory":
        return MemoryBuckets(clock=clock)
    return RedisBuckets(request.getfixturevalue("valkey"), clock=clock)


async def allowed(buckets: Buckets, *asked: tuple[str, Rate]) -> bool:
    return all(one.allowed for one in await buckets.take(asked))


async def test_a_burst_is_let_through_and_then_one_at_a_time(buckets: Buckets, clock: Clock) -> None:
    burst = [await allowed(buckets, ("b", TEN)) for _ in range(12)]
    clock.now += 0.1

    assert burst == [True] * 10 + [False] * 2
    assert [await allowed(buckets, ("b", TEN)) for _ in range(2)] == [True, False]


@pytest.mark.parametrize("text", ["5/s", "9/min", "999/s", "7/h", "10/min+50"])
async def test_at_one_moment_of_today_exactly_the_burst_is_let_through(
    buckets: Buckets, clock: Clock, text: str
) -> None:
    clock.now, rate = 1_791_234_567.891234, rate_of(text)

    taken = [(await buckets.take([("b", rate)]))[0] for _ in range(rate.burst + 1)]

    assert [one.allowed for one in taken] == [True] * rate.burst + [False]
    assert [one.left for one in taken] == [*reversed(range(rate.burst)), 0]


async def test_who_is_refused_hears_when_to_ask_again(buckets: Buckets, clock: Clock) -> None:
    rate = rate_of("60/min+2")
    for _ in range(2):
        await buckets.take([("b", rate)])

    (refused,) = await buckets.take([("b", rate)])

    assert (refused.allowed, refused.left) == (False, 0)
    assert refused.again_s == pytest.approx(1.0)
    clock.now += refused.again_s
    assert await allowed(buckets, ("b", rate))


async def test_a_request_that_one_bucket_refuses_takes_from_none(buckets: Buckets) -> None:
    one = rate_of("1/h")
    await buckets.take([("key", one)])

    both = await buckets.take([("tenant", TEN), ("key", one)])
    after = await buckets.take([("tenant", TEN)])

    assert [taken.allowed for taken in both] == [True, False]
    assert after[0].left == 9


async def test_many_at_the_same_moment_get_what_there_is_and_no_more(buckets: Buckets) -> None:
    taken = await asyncio.gather(*(buckets.take([("b", TEN)]) for _ in range(50)))

    assert sum(one.allowed for (one,) in taken) == 10


async def test_replicas_share_one_bucket(valkey: Any, clock: Clock) -> None:
    replicas = [RedisBuckets(valkey, clock=clock) for _ in range(4)]

    taken = [await allowed(replicas[number % 4], ("b", TEN)) for number in range(20)]

    assert sum(taken) == 10


class Away:
    asked = 0

    async def take(self, asked: Sequence[tuple[str, Rate]]) -> Sequence[Taken]:
        self.asked += 1
        raise StoreUnavailableError("Redis did not answer.")


async def test_while_redis_is_away_all_replicas_together_keep_the_rate(clock: Clock) -> None:
    replicas = [SteadyBuckets(Away(), replicas=5, local=MemoryBuckets(clock=clock), clock=clock) for _ in range(5)]

    taken = [await allowed(replicas[number % 5], ("b", TEN)) for number in range(100)]

    assert sum(taken) == 10


async def test_what_is_away_is_asked_again_after_a_second_and_not_before(clock: Clock) -> None:
    away = Away()
    steady = SteadyBuckets(away, replicas=1, local=MemoryBuckets(clock=clock), clock=clock)
    for _ in range(5):
        await steady.take([("b", TEN)])
    assert away.asked == 1

    clock.now += 1.0
    await steady.take([("b", TEN)])

    assert away.asked == 2


@pytest.mark.parametrize("text", ["", "ten/s", "0/s", "5/day", "1e3/s", "10/s+0", 7, None])
def test_what_is_no_rate_is_refused_and_shown_how_to_say_it(text: object) -> None:
    with pytest.raises(InvalidRequestError, match="rate"):
        rate_of(text)

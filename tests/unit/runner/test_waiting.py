"""Who waits for a spare."""

from __future__ import annotations

import asyncio

from flowray.runner.waiting import Waiting
from tests.kit.clock import Clock


def served(waiting: Waiting[str]) -> list[asyncio.Future[str]]:
    order = []
    while (first := waiting.first()) is not None:
        waiting.remove(first)
        order.append(first)
    return order


def futures(number: int) -> list[asyncio.Future[str]]:
    return [asyncio.get_running_loop().create_future() for _ in range(number)]


async def test_a_step_of_a_tenant_with_few_goes_before_a_burst_of_one_with_many() -> None:
    waiting = Waiting[str](Clock())
    *burst, other = futures(4)
    for one in burst:
        waiting.add(one, weight=3)
    waiting.add(other, weight=100)

    assert served(waiting) == [other, *burst]


async def test_nobody_waits_for_ever_behind_those_that_are_heavier() -> None:
    clock = Clock()
    waiting = Waiting[str](clock)
    light, *heavy = futures(3)
    waiting.add(light, weight=3)
    for one, at in zip(heavy, (0.1, 0.5), strict=True):
        clock.now = at
        waiting.add(one, weight=100)

    assert served(waiting) == [heavy[0], light, heavy[1]]


async def test_what_is_left_is_for_those_with_few_and_for_whoever_waits_too_long() -> None:
    clock = Clock()
    waiting = Waiting[str](clock)
    light, heavy = futures(2)
    waiting.add(light, weight=3)
    assert waiting.first(of_few=True) is None
    clock.now = 5.0
    waiting.add(heavy, weight=100)

    assert waiting.first(of_few=True) is heavy
    clock.now = 20.0
    assert waiting.first(of_few=True) is light


async def test_whom_others_wait_for_is_before_all() -> None:
    waiting = Waiting[str](Clock())
    usual, lent = futures(2)
    waiting.add(usual, weight=100)
    waiting.add(lent, weight=1, at_once=True)

    assert served(waiting) == [lent, usual]


async def test_who_gave_up_is_passed_over() -> None:
    waiting = Waiting[str](Clock())
    gone, cancelled, there = futures(3)
    for one in (gone, cancelled, there):
        waiting.add(one, weight=100)
    waiting.remove(gone)
    cancelled.cancel()

    assert served(waiting) == [there]
    assert len(waiting) == 0

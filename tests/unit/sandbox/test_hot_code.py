"""Copies of code behave as the code did."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable

from flowray_sandbox.hot_code import HotCode


def counter() -> Callable[[], int]:
    count = 0

    def more() -> int:
        nonlocal count
        count += 1
        return count

    return more


async def doubled(numbers: list[int]) -> list[int]:
    await asyncio.sleep(0)
    return [number * 2 for number in (one for one in numbers)]


def never_called() -> None: ...


def test_what_was_called_runs_on_copies_of_its_code_and_gives_the_same() -> None:
    made_before = counter()
    before = [made_before.__code__, counter.__code__, doubled.__code__, never_called.__code__]

    def act() -> None:
        made_before()
        counter()()
        asyncio.run(doubled([1]))

    gc.unfreeze()  # it looks for functions among what the garbage collector sees

    HotCode(act).gather()
    gc.freeze()  # as it was: it would look through all that was imported again and again

    after = [made_before.__code__, counter.__code__, doubled.__code__, never_called.__code__]
    assert [one is other for one, other in zip(before, after, strict=True)] == [False, False, False, True]
    assert counter().__code__ is made_before.__code__, "one copy, also for functions made from now on"
    # What was acted out, was so in a process of its own.
    assert [made_before(), made_before(), counter()()] == [1, 2, 1]
    assert asyncio.run(doubled([1, 2])) == [2, 4]


def test_copies_are_too_large_for_pythons_pools_and_run_as_before() -> None:
    made = counter()

    def act() -> None:
        made()

    HotCode(act).gather()

    assert sys.getsizeof(made.__code__) > 512
    assert [made(), made()] == [1, 2]


def test_what_is_named_is_copied_though_nobody_calls_it() -> None:
    before = never_called.__code__

    gc.unfreeze()
    HotCode(lambda: None, also=[__name__]).gather()
    gc.freeze()

    assert never_called.__code__ is not before
    assert never_called.__code__.co_qualname == "never_called"

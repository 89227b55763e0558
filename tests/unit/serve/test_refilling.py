"""What nobody has to wait for is filled again, by one process, and marked only if nothing was lost meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from flowray_serve.queueing.refilling import Refilling


class Marks:
    """Who may fill, and since when; `token` changes when all is lost."""

    def __init__(self) -> None:
        self.filled, self.token, self.free = False, "one", True

    async def is_filled(self, what: str) -> bool:
        return self.filled

    async def mine(self, work: str, *, by: str, for_s: int) -> bool:
        return self.free

    async def begin(self, what: str) -> str:
        return self.token

    async def note_filled(self, what: str, begun: str) -> bool:
        self.filled = begun == self.token
        return self.filled


class Fill:
    """Fills, and remembers how often."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> int:
        self.count += 1
        return self.count


async def test_what_is_not_filled_is_filled_once() -> None:
    marks, fill = Marks(), Fill()
    refilling = Refilling(marks, "list", fill, name="me")

    assert await refilling.look()
    assert not await refilling.look()

    assert fill.count == 1


async def test_what_another_one_fills_is_left_to_it() -> None:
    marks, fill = Marks(), Fill()
    marks.free = False

    assert not await Refilling(marks, "list", fill, name="me").look()

    assert fill.count == 0


async def test_what_was_lost_while_it_was_filled_is_filled_again() -> None:
    marks = Marks()
    count = 0

    async def fill() -> int:
        nonlocal count
        count += 1
        if count == 1:
            marks.token = "another"
        return count

    refilling = Refilling(marks, "list", fill, name="me")
    assert not await refilling.look()
    assert await refilling.look()


async def test_a_turn_is_kept_while_the_work_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowray_serve.queueing.turn.HELD_S", 0.003)
    marks, asked = Marks(), asyncio.Event()

    async def mine(work: str, *, by: str, for_s: int) -> bool:
        asked.set()
        return True

    async def fill() -> int:
        asked.clear()
        marks.mine = mine  # type: ignore[method-assign]
        await asked.wait()
        return 1

    async with asyncio.timeout(5):
        assert await Refilling(marks, "list", fill, name="me").look()

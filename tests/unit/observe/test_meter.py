"""What one process counts, handed on."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from flowray.errors import StoreUnavailableError
from flowray.observe.families import CPU_SECONDS, NODES
from flowray.observe.meter import Meter
from flowray.observe.tally import Series
from flowray.observe.totals import MemoryTotals
from tests.kit.clock import Clock

FAILED = Series(NODES.name, ("acme", "Invoices", "f1", "Agent-1", "failed"))


class Away(MemoryTotals):
    """Totals that nobody reaches."""

    is_away = True

    async def add(self, amounts: Mapping[Series, float]) -> None:
        if self.is_away:
            raise StoreUnavailableError("away")
        await super().add(amounts)


def fail(meter: Meter) -> None:
    meter.tally.add(NODES, *FAILED.labels)


async def test_a_new_series_is_seen_at_0_before_its_first_amount() -> None:
    totals, clock = MemoryTotals(), Clock()
    meter = Meter(totals, clock=clock)

    fail(meter)
    await meter.hand_on()
    assert await totals.read() == {FAILED: 0}

    clock.now = 39.0
    fail(meter)
    await meter.hand_on()
    assert await totals.read() == {FAILED: 0}

    clock.now = 41.0
    await meter.hand_on()
    assert await totals.read() == {FAILED: 2}

    fail(meter)
    await meter.hand_on()
    assert await totals.read() == {FAILED: 3}


async def test_what_cannot_be_handed_on_is_kept_and_still_begins_at_0() -> None:
    totals, clock = Away(), Clock()
    meter = Meter(totals, clock=clock)
    fail(meter)
    for clock.now in (0.0, 50.0):
        with pytest.raises(StoreUnavailableError):
            await meter.hand_on()

    totals.is_away = False
    await meter.hand_on()
    assert await totals.read() == {FAILED: 0}
    clock.now = 100.0
    await meter.hand_on()
    assert await totals.read() == {FAILED: 1}


async def test_a_known_series_keeps_its_amounts_while_the_store_is_away() -> None:
    totals, clock = Away(), Clock()
    totals.is_away = False
    meter = Meter(totals, clock=clock)
    fail(meter)
    await meter.hand_on()
    clock.now, totals.is_away = 50.0, True
    with pytest.raises(StoreUnavailableError):
        await meter.hand_on()
    fail(meter)

    totals.is_away = False
    await meter.hand_on()

    assert await totals.read() == {FAILED: 2}


async def test_at_its_end_a_process_hands_on_everything() -> None:
    totals = MemoryTotals()
    meter = Meter(totals, clock=Clock())
    fail(meter)

    await meter.close()

    assert await totals.read() == {FAILED: 1}


async def test_an_end_without_the_store_is_an_end_all_the_same() -> None:
    meter = Meter(Away(), clock=Clock())
    fail(meter)
    await meter.close()


async def test_names_are_cut_and_what_then_is_one_series_is_added_up() -> None:
    totals, clock = MemoryTotals(), Clock()
    meter = Meter(totals, clock=clock)
    for end in "ab":
        meter.tally.add(CPU_SECONDS, "acme", "x" * 199 + "\ud800" + "x" * 100 + end, "f1", amount=0.5)
    await meter.hand_on()
    clock.now = 50.0
    await meter.hand_on()

    assert await totals.read() == {Series(CPU_SECONDS.name, ("acme", "x" * 199 + "?", "f1")): 1.0}

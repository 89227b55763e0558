"""How soon after one step the next one of a flood begins."""

from __future__ import annotations

import pytest

from flowray.runner.pacing import Pace
from tests.kit.clock import Clock

SLOTS = 32
TAKES_S = 0.5


def waves(*, takes_s: float, seconds: float) -> list[float]:
    """When the steps of a flood begin that fills all slots at once, and each slot again as soon as it is free."""
    clock = Clock()
    pace = Pace(SLOTS, cores=2, clock=clock)
    free, ends, begun = SLOTS, list[tuple[float, int]](), list[float]()
    while clock.now < seconds:
        while free and not pace.due_s:
            free -= 1
            begun.append(clock.now)
            pace.begin(len(begun))
            ends.append((clock.now + takes_s, len(begun)))
        moments = [ends[0][0]] if not free else [ends[0][0], clock.now + pace.due_s]
        clock.now = min(moments)
        while ends and ends[0][0] <= clock.now:
            pace.end(ends.pop(0)[1], cpu_s=0.01)
            free += 1
    return begun


def most_within(begun: list[float], span_s: float) -> int:
    return max(sum(one <= other < one + span_s for other in begun) for one in begun)


def test_nobody_waits_before_it_is_known_how_long_steps_take() -> None:
    pace = Pace(SLOTS, cores=2, clock=Clock())
    pace.begin("first")
    assert pace.due_s == 0


def test_what_began_in_one_moment_soon_begins_spread_over_the_time_that_steps_take() -> None:
    begun = waves(takes_s=1.0, seconds=20.0)
    assert most_within(begun, 0.1) == SLOTS
    assert most_within([at for at in begun if at > 5.0], 0.1) <= 6


@pytest.mark.parametrize("takes_s", [0.02, 0.1, 1.0, 5.0])
def test_hardly_a_slot_stays_empty_for_it(takes_s: float) -> None:
    seconds = 100 * takes_s
    assert len(waves(takes_s=takes_s, seconds=seconds)) >= 0.95 * SLOTS * seconds / takes_s


@pytest.mark.parametrize(
    ("cpu_s", "cores", "due_s"), [(0.01, 2, 0.025), (0.03, 2, 0.05), (0.03, 16, 0.00625), (9.0, 2, 0.1)]
)
def test_the_next_may_begin_the_later_the_more_steps_take_of_the_cores(cpu_s: float, cores: int, due_s: float) -> None:
    clock = Clock()
    pace = Pace(SLOTS, cores=cores, clock=clock)
    for step in range(100):
        pace.begin(step)
        clock.now += 60.0
        pace.end(step, cpu_s=cpu_s)

    pace.begin("next")

    assert pace.due_s == pytest.approx(due_s, rel=0.01)


class Beside:
    """A flood of `acme` on two cores that are `busy`, with somebody else about or not."""

    def __init__(self, *, headroom: float = 0.3) -> None:
        self.clock = Clock()
        self.busy = 1.0
        self.pace = Pace(SLOTS, headroom=headroom, cores=2, clock=self.clock, busy=lambda: self.busy)
        for step in range(100):
            self.pace.begin(step, tenant="acme")
            self.clock.now += TAKES_S
            self.pace.end(step, cpu_s=0.01)

    def flood(self, *, seconds: float, other: str | None = "globex") -> float:
        """How many steps of the flood begin in a second, in the second half of the time."""
        until, running, begun = self.clock.now + seconds, list[tuple[float, bool]](), list[float]()
        while self.clock.now < until:
            now = self.clock.now
            for tenant, of_few in ((other, True), ("acme", False)):
                if tenant is not None:
                    running.append((now, of_few))
                    self.pace.begin(running[-1], tenant=tenant, of_few=of_few)
            begun.append(now)
            self.clock.now += max(self.pace.due_s, 0.001)
            while running and running[0][0] <= self.clock.now - TAKES_S:
                self.pace.end(running.pop(0), cpu_s=0.01)
        for step in running:
            self.pace.end(step, cpu_s=0.01)
        return len([at for at in begun if at > until - seconds / 2]) / (seconds / 2)


def test_a_flood_is_held_back_while_others_are_about_and_the_cores_are_busy() -> None:
    beside = Beside()
    alone = beside.flood(seconds=10.0, other=None)
    crowded = beside.flood(seconds=10.0)
    assert crowded == pytest.approx(1 / (4 * 0.025), rel=0.1)
    beside.busy = 0.5
    assert beside.flood(seconds=10.0) == pytest.approx(alone, rel=0.1)
    assert alone > 2 * crowded


def test_it_is_let_go_a_while_after_the_others_have_left() -> None:
    beside = Beside()
    crowded = beside.flood(seconds=10.0)
    assert beside.flood(seconds=4.0, other=None) == pytest.approx(crowded, rel=0.1)
    assert beside.flood(seconds=10.0, other=None) > 2 * crowded


@pytest.mark.parametrize(("headroom", "other"), [(0.0, "globex"), (0.3, "acme")])
def test_nobody_is_held_back_for_his_own_sake_or_without_headroom(headroom: float, other: str) -> None:
    beside = Beside(headroom=headroom)
    alone = beside.flood(seconds=10.0, other=None)
    assert beside.flood(seconds=10.0, other=other) == pytest.approx(alone, rel=0.1)

"""How soon after one step the next one of a flood begins."""

from __future__ import annotations

import pytest

from flowray.runner.pacing import Pace
from tests.kit.clock import Clock

SLOTS = 32


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

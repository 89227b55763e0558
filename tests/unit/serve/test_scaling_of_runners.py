from __future__ import annotations

from types import SimpleNamespace

import pytest

from flowray_serve.deployments.scaling import OLDEST_S, RUNNING, WAITING, QueuePolicy, RunnersForSteps


def wanted(running: list[float], *, standby: int = 0) -> int:
    told = {RUNNING: dict(enumerate(running))} if running else None
    context = SimpleNamespace(
        aggregated_metrics=told, capacity_adjusted_min_replicas=1, capacity_adjusted_max_replicas=3 + standby
    )
    return RunnersForSteps(capacity=8, most=3, standby=standby)(context)[0]


@pytest.mark.parametrize(("running", "runners"), [([], 1), ([0], 1), ([6], 1), ([7], 2), ([8, 1], 2), ([8, 8], 3)])
def test_a_pool_has_runners_for_its_steps_and_a_quarter_of_room(running: list[float], runners: int) -> None:
    assert wanted(running) == runners


def test_a_pool_stays_within_its_bounds() -> None:
    assert wanted([8] * 50) == 3


@pytest.mark.parametrize(
    ("running", "runners"), [([], 1), ([0], 2), ([0, 0], 2), ([6, 6], 3), ([6, 6, 0], 3), ([8, 8, 8], 4)]
)
def test_a_standby_is_begun_once_the_others_are_warm(running: list[float], runners: int) -> None:
    assert wanted(running, standby=1) == runners


@pytest.mark.parametrize(
    ("running", "oldest_s", "current", "engines"),
    [([], 0, 1, 1), ([0], 0, 1, 2), ([0, 0], 0, 2, 2), ([0, 0], 5, 2, 3), ([7, 7], 0, 2, 3), ([9, 9, 9], 0, 3, 4)],
)
def test_an_engine_stands_by_beyond_those_that_the_queue_asks_for(
    running: list[float], oldest_s: float, current: int, engines: int
) -> None:
    told = {RUNNING: dict(enumerate(running)), WAITING: {0: 1.0 if oldest_s else 0.0}, OLDEST_S: {0: oldest_s}}
    context = SimpleNamespace(
        aggregated_metrics=told,
        current_num_replicas=current,
        capacity_adjusted_min_replicas=1,
        capacity_adjusted_max_replicas=4,
    )
    assert QueuePolicy(runs_each=10, patience_s=1, most=3, standby=1)(context)[0] == engines

"""How many engines and Runners there should be: as many as the work under way fills, and a little more in time.

Of engines, one more while runs wait too long.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

WAITING, OLDEST_S, RUNNING = "waiting", "oldest_s", "running"
# The next one is started a little before those there are have no room left.
_FULL_AT = 0.75


def wanted_engines(
    *, current: int, running: float, waiting: float, oldest_s: float, runs_each: int, patience_s: float
) -> int:
    """The number of engines for so many runs, of which the first waiting one has waited `oldest_s`."""
    by_load = math.ceil((running + waiting) / (runs_each * _FULL_AT))
    if waiting and oldest_s > patience_s:
        return max(by_load, current + 1)
    return by_load


def wanted_runners(*, running: Sequence[float], capacity: int, least: int, most: int, standby: int) -> int:
    """The number of Runners for the steps that run on each warm one."""
    by_load = max(least, min(most, math.ceil(sum(running) / (capacity * _FULL_AT))))
    return with_standby(by_load, warm=len(running), standby=standby)


def with_standby(wanted: int, *, warm: int, standby: int) -> int:
    """Return how many there should be in all: the standby is begun once all others are warm."""
    return wanted + standby if warm >= wanted else wanted


class QueuePolicy:
    """Ray Serve's autoscaling policy over what the engines record of the queue."""

    def __init__(self, *, runs_each: int, patience_s: float, most: int, standby: int = 0) -> None:
        """`most` engines share the runs, each up to `runs_each`; `standby` are there beyond, for when one dies."""
        self._runs_each = runs_each
        self._patience_s = patience_s
        self._most = most
        self._standby = standby

    def __call__(self, context: Any) -> tuple[int, dict[str, Any]]:
        """Return the wanted number of replicas, and Serve's own state, which is not needed."""
        seen: Mapping[str, Mapping[Any, float]] = context.aggregated_metrics or {}
        running = seen.get(RUNNING, {})
        # Every engine sees the same queue; what it runs is its own.
        wanted = wanted_engines(
            current=context.current_num_replicas - self._standby,
            running=sum(running.values()),
            waiting=max(seen.get(WAITING, {}).values(), default=0.0),
            oldest_s=max(seen.get(OLDEST_S, {}).values(), default=0.0),
            runs_each=self._runs_each,
            patience_s=self._patience_s,
        )
        wanted = max(context.capacity_adjusted_min_replicas, min(self._most, wanted))
        return _bounded(context, with_standby(wanted, warm=len(running), standby=self._standby))


class RunnersForSteps:
    """Ray Serve's autoscaling policy over the steps that a pool's Runners record."""

    def __init__(self, *, capacity: int, most: int, standby: int = 0) -> None:
        """`capacity` is how many steps one Runner runs; there are `most` of them, and `standby` beyond."""
        self._capacity = capacity
        self._most = most
        self._standby = standby

    def __call__(self, context: Any) -> tuple[int, dict[str, Any]]:
        """Return how many Runners the running steps ask for; full ones say nothing of the steps that wait."""
        seen: Mapping[str, Mapping[Any, float]] = context.aggregated_metrics or {}
        wanted = wanted_runners(
            running=list(seen.get(RUNNING, {}).values()),
            capacity=self._capacity,
            least=context.capacity_adjusted_min_replicas,
            most=self._most,
            standby=self._standby,
        )
        return _bounded(context, wanted)


def _bounded(context: Any, wanted: int) -> tuple[int, dict[str, Any]]:
    """Return what Serve takes: the number within its bounds, and its own state, which is not needed."""
    least, most = context.capacity_adjusted_min_replicas, context.capacity_adjusted_max_replicas
    return max(least, min(most, wanted)), {}

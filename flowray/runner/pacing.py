"""How soon after one step the next one of a tenant that runs many may begin.

Most of what a step takes of the processors it takes at its beginning; from then on many a step only waits. Steps that
begin together end together, and those after them begin together again: a flood comes in waves, in which everybody
else's step waits for a core, with idle cores in between. Kept apart, the same steps leave cores free at any time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable

# Besides the sandbox, a step keeps the engine, the zygote and the Runner busy.
_BESIDE_S = 0.01
# So far apart, steps leave most of the cores free; what takes long by itself need not be kept apart for longer.
_PART, _FARTHEST_S = 0.4, 0.1
# Slots that are all in use become free at the rate of slots per duration of a step. Beginnings may come a tenth faster
# than that, much as TCP paces its packets: then no slot stays empty for long, whatever the steps do.
_FASTER = 1.1
_NEWEST = 1 / 16


class Pace:
    """The beginnings in a pool that has room for `slots` steps at once."""

    def __init__(self, slots: int, *, cores: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots = slots
        self._cores = cores or len(os.sched_getaffinity(0))
        self._clock = clock
        self._begun: dict[Hashable, float] = {}
        # Of the steps of late: how long one took, and how much of a core.
        self._took_s = self._cpu_s = 0.0
        self._next = clock()

    @property
    def due_s(self) -> float:
        """In how many seconds the next one may begin; 0 when it may now."""
        return max(0.0, self._next - self._clock())

    def begin(self, step: Hashable) -> None:
        """One begins, in its turn or not."""
        now = self._begun[step] = self._clock()
        apart_s = (self._cpu_s + _BESIDE_S) / (_PART * self._cores)
        self._next = now + min(apart_s, _FARTHEST_S, self._took_s / (self._slots * _FASTER))

    def end(self, step: Hashable, *, cpu_s: float) -> None:
        """One that began is over."""
        self._took_s += (self._clock() - self._begun.pop(step) - self._took_s) * _NEWEST
        self._cpu_s += (cpu_s - self._cpu_s) * _NEWEST

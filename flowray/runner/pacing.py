"""How soon after one step the next one of a tenant that runs many may begin.

Most of what a step takes of the processors it takes at its beginning; from then on many a step only waits. Steps that
begin together end together, and those after them begin together again: a flood comes in waves, in which everybody
else's step waits for a core, with idle cores in between. Kept apart, the same steps leave cores free at any time.

A flood that has the machine to itself is slowed down by that next to never. While others run a step now and then, it
is held back as far as keeps some of the cores free for them: a core that is always busy is one that others wait for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable

from flowray.runner.busy import Busy

# Besides the sandbox, a step keeps the engine, the zygote and the Runner busy.
_BESIDE_S = 0.01
# So far apart, steps leave most of the cores free; what takes long by itself need not be kept apart for longer.
_PART, _FARTHEST_S = 0.4, 0.1
# Slots that are all in use become free at the rate of slots per duration of a step. Beginnings may come a tenth faster
# than that, much as TCP paces its packets: then no slot stays empty for long, whatever the steps do.
_FASTER = 1.1
_NEWEST = 1 / 16
# Who ran a step so short a while ago is taken to run another one soon.
_ABOUT_S = 5.0
# How the distance follows what the cores have to do, in steps as small as the look at them is short.
_LOOK_S, _FARTHER, _NEARER = 0.1, 1.2, 0.9
# Other Runners may be on the same cores and hold back as well; so far apart, steps leave most of the cores many times.
_MOST = 4.0


class Pace:
    """The beginnings in a pool that has room for `slots` steps at once.

    `headroom` is the part of the cores that a flood leaves free while others are about, by what `busy` says of them.
    """

    def __init__(
        self,
        slots: int,
        *,
        headroom: float = 0.0,
        cores: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        busy: Callable[[], float] | None = None,
    ) -> None:
        self._slots = slots
        self._headroom = headroom
        self._cores = cores or len(os.sched_getaffinity(0))
        self._clock = clock
        self._busy = busy or Busy()
        self._begun: dict[Hashable, float] = {}
        # Of the steps of late: how long one took, and how much of a core.
        self._took_s = self._cpu_s = 0.0
        self._next = self._looked_at = clock()
        self._held_s = 0.0
        self._few: dict[str, float] = {}

    @property
    def due_s(self) -> float:
        """In how many seconds the next one may begin; 0 when it may now."""
        return max(0.0, self._next - self._clock())

    def begin(self, step: Hashable, *, tenant: str = "", of_few: bool = False) -> None:
        """One begins, in its turn or not; `of_few` is whether its tenant runs few."""
        now = self._begun[step] = self._clock()
        apart_s = min(self._far_s, _FARTHEST_S, self._took_s / (self._slots * _FASTER))
        if of_few:
            self._few[tenant] = now
        elif self._headroom and self._others_are_about(tenant, now):
            apart_s = max(apart_s, self._held_back(now))
        self._next = now + apart_s

    def end(self, step: Hashable, *, cpu_s: float) -> None:
        """One that began is over."""
        self._took_s += (self._clock() - self._begun.pop(step) - self._took_s) * _NEWEST
        self._cpu_s += (cpu_s - self._cpu_s) * _NEWEST

    @property
    def _far_s(self) -> float:
        return (self._cpu_s + _BESIDE_S) / (_PART * self._cores)

    def _others_are_about(self, tenant: str, now: float) -> bool:
        self._few = {one: at for one, at in self._few.items() if now - at < _ABOUT_S}
        return any(one != tenant for one in self._few)

    def _held_back(self, now: float) -> float:
        """How far apart a flood's steps begin for the sake of others: farther while the cores have too much to do."""
        if now - self._looked_at >= _LOOK_S:
            self._looked_at = now
            change = _FARTHER if self._busy() > 1.0 - self._headroom else _NEARER
            self._held_s = max(self._held_s, self._far_s / 4) * change
        self._held_s = min(self._held_s, self._far_s * _MOST, _FARTHEST_S)
        return self._held_s

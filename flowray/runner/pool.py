"""Spares: sandboxes forked and walled in before anybody needs them. Each serves one job and dies."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass
from functools import partial

from flowray.errors import FlowRayError, RunnerUnavailableError
from flowray.runner.brood import SPAWN_S, Brood, Taken, hatch
from flowray.runner.pacing import Pace
from flowray.runner.sandboxes import StartNursery
from flowray.runner.succession import Heir, Retired
from flowray.runner.waiting import Asker, Waiting

log = logging.getLogger(__name__)

_AT_ONCE = 2
# Of four spares, one is for tenants that run few steps.
_KEPT_BACK = 4
_LOOK_AROUND_S = 15.0
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.5, 30.0


@dataclass(frozen=True, kw_only=True)
class PoolSize:
    """How many sandboxes there may be.

    `spares` are kept parked, `at_work` run at once; who comes then waits `wait_s` at most. A spare older than
    `oldest_s` is replaced, and so is a zygote older than `zygote_s` or after `forks` sandboxes: they share its layout
    in memory. A closing pool gives running jobs `drain_s` to end. `headroom`: see `Pace`.
    """

    spares: int = 4
    at_work: int = 16
    wait_s: float = 30.0
    oldest_s: float = 600.0
    zygote_s: float = 86_400.0
    forks: int = 100_000
    drain_s: float = 30.0
    headroom: float = 0.0


class Pool:
    """Keeps spares parked, off the hot path: while jobs run, only as many are forked as a burst would need."""

    def __init__(self, start: StartNursery, size: PoolSize, pace: Pace | None = None) -> None:
        self.size = size
        self.at_work = 0
        self.served = 0
        self.zygotes = 0
        self._start_nursery = start
        self._spares: deque[Taken] = deque()
        self._waiting = Waiting[Taken]()
        self._askers: dict[asyncio.Future[Taken], Asker] = {}
        # What runs in place of a job that waits for it, beyond what may be at work.
        self._lent: set[Taken] = set()
        self._pace = pace or Pace(size.at_work, headroom=size.headroom)
        self._due: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._closing = False
        self._trouble = ""
        self._keeper: asyncio.Task[None] | None = None
        self._retired = Retired()

    @property
    def alive(self) -> bool:
        """Whether the pool looks after its spares."""
        return self._keeper is not None and not self._keeper.done()

    @property
    def parked(self) -> int:
        """How many spares wait for a job."""
        return len(self._spares)

    @property
    def queued(self) -> int:
        """How many jobs wait for a spare."""
        return len(self._waiting)

    async def start(self) -> None:
        """Start the zygote and park a first spare; raises when either cannot be done. The others follow."""
        brood, spares = await hatch(self._start_nursery, spares=1)
        self._spares.extend(spares)
        self._keeper = asyncio.create_task(self._keep(brood), name="pool of spares")

    async def take(self, *, lent: bool = False, weight: int = 100, tenant: str = "") -> Taken:
        """Return a spare, at once when there is one. `RunnerUnavailableError` when none becomes free in time.

        Whoever has a `lent` turn waits behind nobody, however many are at work. Else whoever is heavier, since its
        tenant runs few steps, waits less when a burst has used up what was parked, there is something left that no
        burst may use up, and a burst gets what it needs at a pace.
        """
        if self._closing:
            raise RunnerUnavailableError("The runner is shutting down.")
        asker = Asker(tenant=tenant, weight=weight, lent=lent)
        is_first = lent or self._waiting.first(of_few=asker.of_few) is None
        taken = self._fresh(asker) if is_first else None
        if taken is None:
            taken = await self._wait(asker)
        self._changed.set()
        return taken

    def done(self, taken: Taken, *, cpu_s: float = 0.0) -> None:
        """End the sandbox of a job that is over and took so much of a core."""
        taken.sandbox.close()
        self._lent.discard(taken)
        self._pace.end(taken, cpu_s=cpu_s)
        self.at_work -= 1
        taken.brood.at_work -= 1
        self.served += 1
        self._retired.look_at(taken.brood)
        self._give()
        self._changed.set()
        if not self.at_work:
            self._idle.set()

    async def close(self) -> None:
        """Take no more jobs, let running ones end, then end everything."""
        self._closing = True
        for waiting in self._waiting.all():
            if not waiting.done():
                waiting.set_exception(RunnerUnavailableError("The runner is shutting down."))
        try:
            async with asyncio.timeout(self.size.drain_s):
                while self.at_work:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            log.warning("Jobs were cut off", extra={"action": "pool_cut_off", "jobs": self.at_work})
        if self._due is not None:
            self._due.cancel()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        await self._retired.close()

    async def _wait(self, asker: Asker) -> Taken:
        waiting: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        self._askers[waiting] = asker
        self._waiting.add(waiting, weight=asker.weight, at_once=asker.lent)
        self._give()
        self._changed.set()
        try:
            async with asyncio.timeout(self.size.wait_s):
                return await waiting
        except BaseException as cause:
            self._forget(waiting)
            if isinstance(cause, TimeoutError):
                raise RunnerUnavailableError(self._why_none()) from cause
            raise
        finally:
            del self._askers[waiting]

    def _forget(self, waiting: asyncio.Future[Taken]) -> None:
        if (
            not self._waiting.remove(waiting)
            and waiting.done()
            and not waiting.cancelled()
            and waiting.exception() is None
        ):
            # Given in the same moment in which its job was cancelled.
            self.done(waiting.result())

    def _why_none(self) -> str:
        why = f"No sandbox became free within {self.size.wait_s:g} s: {self.at_work} are at work"
        return f"{why}. {self._trouble}" if self._trouble else f"{why}, {self.queued} jobs wait. Try again later."

    @property
    def _free(self) -> int:
        return self.size.at_work - (self.at_work - len(self._lent))

    @property
    def _kept_back(self) -> int:
        return self.size.spares // _KEPT_BACK

    def _is_for_few(self, due_s: float) -> bool:
        """Whether only tenants that run few steps get something now: what is left is for them, or all others wait."""
        return self.parked <= self._kept_back or due_s > 0

    def _fresh(self, asker: Asker, *, is_next: bool = False) -> Taken | None:
        """Take the oldest spare that is alive, unless too many are at work, or it is kept for others."""
        may_have = asker.lent or asker.of_few or is_next
        while self.parked and (asker.lent or self._free > 0) and (may_have or not self._is_for_few(self._pace.due_s)):
            taken = self._spares.popleft()
            if taken.sandbox.alive and not taken.lost.is_set():
                if asker.lent:
                    self._lent.add(taken)
                self._pace.begin(taken, tenant=asker.tenant, of_few=asker.of_few)
                self.at_work += 1
                taken.brood.at_work += 1
                return taken
            taken.sandbox.close()
            self._changed.set()  # one is missing
        return None

    def _give(self) -> None:
        """Hand spares to those who wait, in their order; to those who are kept apart as soon as that is over."""
        while self._waiting:
            # Looked at once: time goes on, and who was put off by one look and forgotten by the next would wait on.
            due_s = self._pace.due_s
            first = self._waiting.first(of_few=self._is_for_few(due_s))
            if first is None:
                self._give_in(due_s)
                return
            taken = self._fresh(self._askers[first], is_next=True)
            if taken is None:
                return
            self._waiting.remove(first)
            first.set_result(taken)

    def _give_in(self, due_s: float) -> None:
        """Come back to those who wait; with nothing due they wait for a fork, which comes back by itself."""
        if self._due is None and due_s > 0:
            self._due = asyncio.get_running_loop().call_later(due_s, self._give_next)

    def _give_next(self) -> None:
        self._due = None
        self._give()

    async def _keep(self, brood: Brood) -> None:
        while True:
            self.zygotes += 1
            following = None
            try:
                following = await self._fill(brood)
            finally:
                if following is None:
                    self._drop_spares()
                    await brood.nursery.stop()
            if following is None:
                log.warning("The zygote died and is started again", extra={"action": "zygote_died"})
                following = await self._next_brood()
            brood = following

    async def _next_brood(self) -> Brood:
        backoff_s = _FIRST_BACKOFF_S
        while True:
            try:
                return Brood(await self._start_nursery())
            except FlowRayError as cause:
                self._trouble = cause.message
                log.exception("The zygote does not start", extra={"action": "zygote_failed"})
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, _LONGEST_BACKOFF_S)

    async def _fill(self, brood: Brood) -> Brood | None:
        """Keep spares parked until the zygote ends, or until another one has taken its place."""
        died = asyncio.create_task(brood.ended.wait(), name="zygote's end")
        died.add_done_callback(lambda _: self._changed.set())
        heir = Heir(partial(hatch, self._start_nursery, spares=self.size.spares), self._changed.set)
        try:
            while not brood.ended.is_set():
                self._drop_old()
                following = heir.take(worn=self._is_worn(brood))
                if following is not None:
                    return self._replaced(brood, *following)
                missing = self._missing()
                if missing <= 0:
                    await self._change()
                else:
                    await self._spawn(brood, min(missing, _AT_ONCE))
        finally:
            died.cancel()
            await heir.call_off()
        return None

    def _is_worn(self, brood: Brood) -> bool:
        return brood.age_s > self.size.zygote_s or brood.forks >= self.size.forks

    def _replaced(self, old: Brood, following: Brood, spares: list[Taken]) -> Brood:
        """Let the next zygote's spares take the place of the old one's, which stays until its jobs are over."""
        self._drop_spares()
        self._spares.extend(spares)
        self._retired.add(old)
        self._give()
        log.info("The zygote is replaced", extra={"action": "zygote_replaced", "forks": old.forks, "age_s": old.age_s})
        return following

    def _missing(self) -> int:
        if self._waiting and not self._pace.due_s:
            wanted = min(len(self._waiting), max(self._free, 0) + sum(one.lent for one in self._askers.values()))
            return wanted + self._kept_back - self.parked
        # Forking takes the processor from running jobs; half of the spares is enough for the next ones.
        wanted = self.size.spares if not self.at_work else (self.size.spares + 1) // 2 + self._kept_back
        return wanted - self.parked

    async def _spawn(self, brood: Brood, number: int) -> None:
        try:
            async with asyncio.timeout(SPAWN_S):
                spawned = await brood.spawn_some(number)
        except TimeoutError:
            log.exception("The zygote hangs", extra={"action": "zygote_hangs"})
            await brood.nursery.stop()
            return
        failed = [one for one in spawned if isinstance(one, BaseException)]
        self._spares.extend(one for one in spawned if not isinstance(one, BaseException))
        self._give()
        self._trouble = str(failed[0]) if failed else ""
        if failed and not brood.ended.is_set():
            log.error("A sandbox could not be made: %s", failed[0], extra={"action": "spawn_failed"})
            await asyncio.sleep(_FIRST_BACKOFF_S)
        self._changed.set()

    async def _change(self) -> None:
        """Wait until something changed, or until it is time to look at the spares' age."""
        self._changed.clear()
        try:
            async with asyncio.timeout(_LOOK_AROUND_S):
                await self._changed.wait()
        except TimeoutError:
            return

    def _drop_old(self) -> None:
        oldest = time.monotonic() - self.size.oldest_s
        while self._spares and (self._spares[0].sandbox.born < oldest or not self._spares[0].sandbox.alive):
            self._spares.popleft().sandbox.close()

    def _drop_spares(self) -> None:
        while self._spares:
            self._spares.popleft().sandbox.close()
